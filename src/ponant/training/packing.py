"""Packing of samples into sequences: shuffled, weighted by file, several samples per sequence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ponant.training.dataset import EncodedFile

_OPEN_SEQUENCES = 16
"""Number of sequences that are filled at once. A sample goes into the first with room."""


@dataclass(frozen=True, slots=True)
class PackedSequence:
    """Concatenated samples, computed in one forward pass.

    Attributes:
        tokens: token ids, shape (tokens,).
        positions: positions, shape (tokens,), from 0 in each sample.
        rows: indices of the tokens whose successors are learned, shape (targets,).
        targets: the successors, shape (targets,).
    """

    tokens: NDArray[np.int64]
    positions: NDArray[np.int64]
    rows: NDArray[np.int64]
    targets: NDArray[np.int64]


class Packer:
    """Packs the samples of several files into sequences. An epoch depends only on the seed and its number.

    An epoch has as many samples as all files together, each of them once if the weights are equal. The samples of a
    file with twice the weight of another occur twice as often.
    """

    def __init__(self, files: Sequence[EncodedFile], weights: Sequence[float], *, seq_len: int, seed: int) -> None:
        """Pack sequences of up to ``seq_len`` tokens. No sample may be longer."""
        self._files = files
        self._starts = np.cumsum([0, *(len(file.lengths) for file in files)])
        self._lengths = np.concatenate([file.lengths for file in files])
        sizes = np.diff(self._starts)
        shares = np.array(weights) / max(weights)  # the sum of large weights could be infinite
        self._copies = shares * sizes.sum() / (shares * sizes).sum()
        self._seq_len = seq_len
        self._seed = seed

    @property
    def data_tokens(self) -> int:
        """Number of tokens of all samples."""
        return int(self._lengths.sum())

    def epoch(self, number: int) -> list[list[int]]:
        """Return the sequences of an epoch, each as a list of sample indices."""
        random = np.random.default_rng([self._seed, number])
        order = random.permutation(np.concatenate([self._drawn(random, file) for file in range(len(self._files))]))
        sequences = self._packed(order.tolist())
        return [sequences[index] for index in random.permutation(len(sequences))]

    def pack(self, samples: Sequence[int]) -> PackedSequence:
        """Pack samples into one sequence."""
        parts = [self._sample(sample) for sample in samples]
        starts = np.cumsum([0, *(len(tokens) for tokens, _ in parts)])
        learned = np.concatenate([learned for _, learned in parts])
        tokens = np.concatenate([tokens for tokens, _ in parts]).astype(np.int64)
        learned[starts[:-1]] = False  # the first token of a sample does not follow from the sample before
        targets = np.flatnonzero(learned)
        positions = np.concatenate([np.arange(len(tokens)) for tokens, _ in parts])
        return PackedSequence(tokens, positions, targets - 1, tokens[targets])

    def _sample(self, sample: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        file = int(np.searchsorted(self._starts, sample, side="right")) - 1
        return self._files[file].sample(sample - int(self._starts[file]))

    def _drawn(self, random: np.random.Generator, file: int) -> NDArray[np.int64]:
        """Return the samples of a file in an epoch; they can repeat."""
        samples = np.arange(self._starts[file], self._starts[file + 1])
        whole = int(self._copies[file])
        more = float((self._copies[file] - whole) * len(samples))
        if not math.isclose(more, round(more), abs_tol=1e-6):
            more += random.random() - 0.5  # gives even a file of one sample its share over the epochs
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
    """Position in the stream of sequences: epoch, and sequence in it."""

    epoch: int = 0
    sequence: int = 0


class SequenceStream:
    """Endless stream of the sequences of all epochs, from a position."""

    def __init__(self, packer: Packer, position: Position) -> None:
        self._packer = packer
        self.position = position
        self._sequences = packer.epoch(position.epoch)

    def next(self) -> PackedSequence:
        """Return the next sequence."""
        if self.position.sequence >= len(self._sequences):
            self.position = Position(self.position.epoch + 1)
            self._sequences = self._packer.epoch(self.position.epoch)
        sequence = self._packer.pack(self._sequences[self.position.sequence])
        self.position = Position(self.position.epoch, self.position.sequence + 1)
        return sequence
