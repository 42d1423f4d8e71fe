"""Which samples are learned from in which step: shuffled, weighted by file, several of them in one sequence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ponant.training.dataset import EncodedFile

_OPEN_SEQUENCES = 16
"""How many sequences are filled at once: a sample goes into the first that has room for it."""


@dataclass(frozen=True, slots=True)
class PackedSequence:
    """Samples one after the other, as a model computes them in one go.

    ``positions`` begins at 0 with each sample. After ``rows`` of it the tokens ``targets`` are to be learned.
    """

    tokens: NDArray[np.int64]
    positions: NDArray[np.int64]
    rows: NDArray[np.int64]
    targets: NDArray[np.int64]


class Packer:
    """Makes sequences of the samples of several files. What an epoch holds depends on the seed and its number alone.

    An epoch has as many samples as the files together, each of them once if all files have the same weight. In a file
    with twice the weight of another, each sample is seen twice as often.
    """

    def __init__(self, files: Sequence[EncodedFile], weights: Sequence[float], *, seq_len: int, seed: int) -> None:
        """``seq_len`` is the most tokens of a sequence; no sample may have more."""
        self._files = files
        self._starts = np.cumsum([0, *(len(file.lengths) for file in files)])
        self._lengths = np.concatenate([file.lengths for file in files])
        sizes = np.diff(self._starts)
        shares = np.array(weights) / max(weights)  # or else the sum of large ones might be infinite
        self._copies = shares * sizes.sum() / (shares * sizes).sum()
        self._seq_len = seq_len
        self._seed = seed

    @property
    def data_tokens(self) -> int:
        """The tokens of all samples."""
        return int(self._lengths.sum())

    def epoch(self, number: int) -> list[list[int]]:
        """The sequences of an epoch, each as the samples that it is packed of."""
        random = np.random.default_rng([self._seed, number])
        order = random.permutation(np.concatenate([self._drawn(random, file) for file in range(len(self._files))]))
        sequences = self._packed(order.tolist())
        return [sequences[index] for index in random.permutation(len(sequences))]

    def pack(self, samples: Sequence[int]) -> PackedSequence:
        """One sequence."""
        parts = [self._sample(sample) for sample in samples]
        starts = np.cumsum([0, *(len(tokens) for tokens, _ in parts)])
        learned = np.concatenate([learned for _, learned in parts])
        tokens = np.concatenate([tokens for tokens, _ in parts]).astype(np.int64)
        learned[starts[:-1]] = False  # what a sample begins with does not follow from the one before it
        targets = np.flatnonzero(learned)
        positions = np.concatenate([np.arange(len(tokens)) for tokens, _ in parts])
        return PackedSequence(tokens, positions, targets - 1, tokens[targets])

    def _sample(self, sample: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        file = int(np.searchsorted(self._starts, sample, side="right")) - 1
        return self._files[file].sample(sample - int(self._starts[file]))

    def _drawn(self, random: np.random.Generator, file: int) -> NDArray[np.int64]:
        """The samples of a file that an epoch has, some of them several times."""
        samples = np.arange(self._starts[file], self._starts[file + 1])
        whole = int(self._copies[file])
        more = float((self._copies[file] - whole) * len(samples))
        if not math.isclose(more, round(more), abs_tol=1e-6):
            more += random.random() - 0.5  # so that even a file of one sample has its share, over the epochs
        return np.concatenate([np.tile(samples, whole), random.choice(samples, round(more), replace=False)])

    def _packed(self, order: list[int]) -> list[list[int]]:
        done: list[list[int]] = []
        opened: list[tuple[list[int], int]] = []
        for sample in order:
            length = int(self._lengths[sample])
            for index, (samples, room) in enumerate(opened):
                if length <= room:
                    samples.append(sample)
                    opened[index] = samples, room - length
                    break
            else:
                if len(opened) == _OPEN_SEQUENCES:
                    fullest = min(range(len(opened)), key=lambda index: opened[index][1])
                    done.append(opened.pop(fullest)[0])
                opened.append(([sample], self._seq_len - length))
        return done + [samples for samples, _ in opened]


@dataclass
class Position:
    """How far the sequences have been used: epoch, and sequence in it."""

    epoch: int = 0
    sequence: int = 0


class SequenceStream:
    """The sequences of one epoch after the other, without end, from a position on."""

    def __init__(self, packer: Packer, position: Position) -> None:
        self._packer = packer
        self.position = position
        self._sequences = packer.epoch(position.epoch)

    def next(self) -> PackedSequence:
        """The next sequence."""
        if self.position.sequence >= len(self._sequences):
            self.position = Position(self.position.epoch + 1)
            self._sequences = self._packer.epoch(self.position.epoch)
        sequence = self._packer.pack(self._sequences[self.position.sequence])
        self.position = Position(self.position.epoch, self.position.sequence + 1)
        return sequence
