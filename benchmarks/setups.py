"""What servers are given: weights, threads, sequences, KV cells."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Setup:
    """What every server is given alike for some of the loads.

    Attributes:
        name: What reports call it.
        parallel: How many sequences run at once.
        cells: KV cells of all sequences together.
        batch: The most tokens of one batch, where servers must have the same; Ponant always has 512.
        long_sequences: Whether one sequence may take more than its share of the cells. It costs llama-server its
            separate streams (`--kv-unified`); without, each sequence has its share for itself.
    """

    name: str
    parallel: int
    cells: int
    batch: int | None = None
    long_sequences: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What is the same in all setups.

    Attributes:
        model: The weights.
        threads: Threads of the engine.
        data_dir: A folder that Ponant may keep things in from one start to the next.
    """

    model: Path
    threads: int
    data_dir: Path


SHORT = Setup("short sequences", parallel=16, cells=8_192)
EIGHT = Setup("eight long sequences", parallel=8, cells=16_384)
MEMORY = Setup("equal memory", parallel=16, cells=8_192, batch=512)
ARRIVAL = Setup("one very long sequence", parallel=16, cells=32_768, long_sequences=True)
START = Setup("start", parallel=16, cells=8_192)
