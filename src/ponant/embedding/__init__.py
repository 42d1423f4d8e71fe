"""From texts to embeddings as the API has them."""
