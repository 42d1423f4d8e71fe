// Similarities of embeddings.

/** Return the cosine of each pair of vectors: a symmetric matrix with ones on its diagonal. */
export function similarities(vectors) {
  const lengths = vectors.map((vector) => Math.sqrt(dot(vector, vector)));
  return vectors.map((one, row) =>
    vectors.map((other, column) => (row === column ? 1 : dot(one, other) / (lengths[row] * lengths[column] || 1))),
  );
}

/** Return the smallest and the largest similarity of two different texts; 0 and 1 if there are no two. */
export function rangeOf(matrix) {
  const values = matrix.flatMap((row, at) => row.filter((_, column) => column !== at));
  return values.length ? { least: Math.min(...values), most: Math.max(...values) } : { least: 0, most: 1 };
}

function dot(one, other) {
  return one.reduce((sum, value, place) => sum + value * other[place], 0);
}
