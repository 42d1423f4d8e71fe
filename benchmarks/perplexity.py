"""Says how well models predict a text, and how far the later ones are from the first.

``python -m benchmarks.perplexity MODEL.gguf...`` shows what a change of the weights' format costs. The text is one that
ships with the tests, unless ``--text`` names another. It is cut into segments; each token is predicted from those of
its segment before it.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # or else the threads of two models starve each other

import numpy as np
from numpy.typing import NDArray

from ponant.llamacpp.model import Model
from ponant.llamacpp.vocabulary import Vocabulary

TEXT = Path(__file__).parents[1] / "tests" / "data" / "perplexity.txt"
SEGMENT = 256


@dataclass(frozen=True)
class Comparison:
    """What a model makes of a text, and how far it is from the first model (0 for the first itself).

    ``divergence`` is the mean Kullback-Leibler divergence of the distributions of a token, in nats; ``same_first`` is
    the share of the tokens for which both hold the same one most likely.
    """

    path: Path
    tokens: int
    perplexity: float
    divergence: float
    same_first: float


def compare(paths: list[Path], text: str, *, threads: int = 2, most_tokens: int | None = None) -> list[Comparison]:
    """Compare models of one vocabulary by a text, or by its first tokens."""
    tokens = Vocabulary(paths[0]).tokenize(text, control=False)[:most_tokens]
    segments = [tokens[start : start + SEGMENT] for start in range(0, len(tokens), SEGMENT)]
    segments = [segment for segment in segments if len(segment) > 1]
    models = [_open(path, threads) for path in paths]
    losses = np.zeros(len(paths))
    divergences = np.zeros(len(paths))
    same = np.zeros(len(paths))
    for segment in segments:
        first: NDArray[np.float32] | None = None
        for index, model in enumerate(models):
            own = _log_probabilities(model, segment)
            if first is None:
                first = own
            losses[index] -= own[np.arange(len(segment) - 1), segment[1:]].sum(dtype=np.float64)
            divergences[index] += (np.exp(first) * (first - own)).sum(dtype=np.float64)
            same[index] += (first.argmax(axis=1) == own.argmax(axis=1)).sum()
    count = sum(len(segment) - 1 for segment in segments)
    return [
        Comparison(path, count, float(np.exp(loss / count)), float(divergence / count), float(equal / count))
        for path, loss, divergence, equal in zip(paths, losses, divergences, same, strict=True)
    ]


def _open(path: Path, threads: int) -> Model:
    model = Model(path)
    model.open_context(
        cells=SEGMENT,
        slots=1,
        batch_tokens=SEGMENT,
        most_logits=SEGMENT,
        threads=threads,
        flash_attention=True,
        kv_type="f16",
        separate_streams=False,
    )
    return model


def _log_probabilities(model: Model, segment: list[int]) -> NDArray[np.float32]:
    """Of every token of the vocabulary, after each token of the segment but the last."""
    model.empty_slot(0)
    known = segment[:-1]
    logits = model.decode([(0, 0, known, len(known))]).copy()
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True, dtype=np.float64)).astype(np.float32)
    return logits


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.gguf")
    parser.add_argument("--text", type=Path, default=TEXT)
    parser.add_argument("--tokens", type=int, help="only the first so many of the text")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    print("| model | tokens | perplexity | KL to the first, nats | same most likely token |")
    print("|---|---:|---:|---:|---:|")
    text = arguments.text.read_text()
    for row in compare(arguments.models, text, threads=arguments.threads, most_tokens=arguments.tokens):
        figures = f"{row.perplexity:.3f} | {row.divergence:.4f} | {row.same_first:.1%}"
        print(f"| {row.path.name} | {row.tokens} | {figures} |")


if __name__ == "__main__":
    main()
