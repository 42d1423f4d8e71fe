"""Measure how well models predict a text: `python -m benchmarks.perplexity MODEL.gguf...`.

The first model is the reference: the table shows how far the distributions of the others are from its own, which is the
cost of another format of the weights. The text is one of the tests' files unless `--text` names another. It is cut into
segments, and each token is predicted from the tokens before it in its segment.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.cli import add_models, add_threads, make_parser, positive, run
from benchmarks.engine import open_model
from benchmarks.report import Table, publish
from ponant.llamacpp.model import Model
from ponant.llamacpp.vocabulary import GGUFVocabulary

TEXT = Path(__file__).parents[1] / "tests" / "data" / "perplexity.txt"
SEGMENT = 256


@dataclass(frozen=True, slots=True)
class Score:
    """A model's predictions of a text, compared with those of the first model.

    Attributes:
        path: The GGUF file.
        tokens: Predicted tokens.
        perplexity: The model's perplexity on the text.
        divergence: Mean Kullback-Leibler divergence of a token's distribution from the first model's, in nats.
        same_first: Share of the tokens for which both models find the same token most likely.
    """

    path: Path
    tokens: int
    perplexity: float
    divergence: float
    same_first: float


def main() -> int:
    """Run the program; return its exit code."""
    parser = make_parser("perplexity", __doc__)
    add_models(parser, "weights of the models, which have one vocabulary")
    parser.add_argument(
        "--text", type=Path, default=TEXT, help="the text to predict (default: one of the tests' files)"
    )
    parser.add_argument("--tokens", type=positive, help="use the first tokens of the text only (default: all)")
    add_threads(parser, default=2)
    arguments = parser.parse_args()
    scores = compare(
        arguments.models, arguments.text.read_text(), threads=arguments.threads, most_tokens=arguments.tokens
    )
    table = Table(("model", "tokens", "perplexity", "KL to the first, nats", "same most likely token"), text=("model",))
    publish(
        table.lines(
            (
                score.path.name,
                score.tokens,
                f"{score.perplexity:.3f}",
                f"{score.divergence:.4f}",
                f"{score.same_first:.1%}",
            )
            for score in scores
        )
    )
    return 0


def compare(paths: list[Path], text: str, *, threads: int = 2, most_tokens: int | None = None) -> list[Score]:
    """Return the scores of models with one vocabulary on the first `most_tokens` tokens of a text."""
    tokens = GGUFVocabulary(paths[0]).tokenize(text, control=False)[:most_tokens]
    segments = [tokens[start : start + SEGMENT] for start in range(0, len(tokens), SEGMENT)]
    segments = [segment for segment in segments if len(segment) > 1]
    models = [
        open_model(path, cells=SEGMENT, batch_tokens=SEGMENT, most_logits=SEGMENT, threads=threads) for path in paths
    ]
    losses = np.zeros(len(paths))
    divergences = np.zeros(len(paths))
    same = np.zeros(len(paths))
    for segment in segments:
        first: NDArray[np.float32] | None = None
        for index, model in enumerate(models):
            own = log_probabilities(model, segment)
            if first is None:
                first = own
            losses[index] -= own[np.arange(len(segment) - 1), segment[1:]].sum(dtype=np.float64)
            divergences[index] += (np.exp(first) * (first - own)).sum(dtype=np.float64)
            same[index] += (first.argmax(axis=1) == own.argmax(axis=1)).sum()
    count = sum(len(segment) - 1 for segment in segments)
    return [
        Score(path, count, float(np.exp(loss / count)), float(divergence / count), float(equal / count))
        for path, loss, divergence, equal in zip(paths, losses, divergences, same, strict=True)
    ]


def log_probabilities(model: Model, segment: list[int]) -> NDArray[np.float32]:
    """Return the log probabilities after each token of a segment but the last.

    Returns:
        float32, shape (segment length - 1, vocabulary size).
    """
    model.empty_slot(0)
    known = segment[:-1]
    logits = model.decode([(0, 0, known, len(known))]).copy()
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True, dtype=np.float64)).astype(np.float32)
    return logits


if __name__ == "__main__":
    run(main)
