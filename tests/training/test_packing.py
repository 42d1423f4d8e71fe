"""Packing: frequency of samples, length of sequences, reproducibility."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.training.dataset import EncodedFile
from ponant.training.job import Hyperparameters
from ponant.training.packing import Packer, Position, SequenceStream
from ponant.training.plan import estimate_speed, make_plan
from tests.soak import examples


def file_of(lengths: list[int], first: int = 0) -> EncodedFile:
    """Return a file whose samples each repeat one number, with all but the first token learned."""
    tokens = np.repeat(np.arange(first, first + len(lengths)), lengths).astype(np.int32)
    offsets = np.cumsum([0, *lengths])
    learned = np.ones(len(tokens), np.bool_)
    learned[offsets[:-1]] = False
    return EncodedFile(tokens, learned, offsets.astype(np.int64))


def seen(packer: Packer, epoch: int = 0) -> Counter[int]:
    return Counter(sample for samples in packer.epoch(epoch) for sample in samples)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.integers(2, 50), min_size=1, max_size=100), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_has_every_sample_once_in_sequences_that_are_not_too_long(
    lengths: list[int], seed: int, epoch: int
) -> None:
    packer = Packer([file_of(lengths)], [1.0], seq_len=50, seed=seed)

    sequences = packer.epoch(epoch)

    assert sorted(sample for samples in sequences for sample in samples) == list(range(len(lengths)))
    assert all(sum(lengths[sample] for sample in samples) <= 50 for samples in sequences)
    assert sequences == packer.epoch(epoch)


def test_sequences_are_almost_full() -> None:
    lengths = np.random.default_rng(0).integers(10, 200, 1000).tolist()
    packer = Packer([file_of(lengths)], [1.0], seq_len=512, seed=0)

    assert sum(lengths) / (512 * len(packer.epoch(0))) > 0.9


def test_epochs_and_seeds_differ() -> None:
    files = [file_of([10] * 50)]
    first = Packer(files, [1.0], seq_len=50, seed=0)

    assert first.epoch(0) != first.epoch(1)
    assert first.epoch(0) != Packer(files, [1.0], seq_len=50, seed=1).epoch(0)


def test_samples_of_a_weightier_file_are_seen_more_often() -> None:
    packer = Packer([file_of([5] * 100), file_of([5] * 300)], [3.0, 1.0], seq_len=50, seed=0)

    counts = Counter[int]()
    for epoch in range(30):
        assert sum(seen(packer, epoch).values()) == pytest.approx(400, abs=1)
        counts += seen(packer, epoch)

    # Of 400 samples per epoch, half belong to the first file, which has a quarter of them
    assert sum(counts[sample] for sample in range(100)) / 30 == pytest.approx(200, abs=1)
    assert all(50 <= counts[sample] <= 70 for sample in range(100))


def test_files_of_one_sample_have_their_shares_over_the_epochs() -> None:
    packer = Packer([file_of([5]), file_of([5]), file_of([5])], [4.0, 1.0, 1.0], seq_len=50, seed=0)

    counts = sum((seen(packer, epoch) for epoch in range(400)), Counter[int]())

    assert counts[0] == 800
    assert counts[1] == pytest.approx(200, rel=0.2)
    assert counts[2] == pytest.approx(200, rel=0.2)


@pytest.mark.parametrize("weight", [1e308, 5e-324])
def test_weights_are_only_compared_with_each_other(weight: float) -> None:
    packer = Packer([file_of([5] * 4), file_of([5] * 6)], [weight, weight], seq_len=50, seed=0)

    assert seen(packer) == Counter(range(10))


def test_a_sequence_says_where_samples_begin_and_what_follows_what() -> None:
    packer = Packer([file_of([3, 2, 4])], [1.0], seq_len=50, seed=0)

    sequence = packer.pack([2, 0])

    assert sequence.tokens.tolist() == [2, 2, 2, 2, 0, 0, 0]
    assert sequence.positions.tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert sequence.rows.tolist() == [0, 1, 2, 4, 5]
    assert sequence.targets.tolist() == [2, 2, 2, 0, 0]


def test_a_stream_goes_on_from_any_position() -> None:
    packer = Packer([file_of([7] * 20)], [1.0], seq_len=20, seed=3)
    whole = SequenceStream(packer, Position())
    tokens = []
    positions = []
    for _ in range(25):
        positions.append(whole.position)
        tokens.append(whole.next().tokens.tolist())

    for index, position in enumerate(positions):
        assert SequenceStream(packer, position).next().tokens.tolist() == tokens[index]


def test_a_plan_says_how_long_a_run_will_be() -> None:
    packer = Packer([file_of([25] * 40)], [1.0], seq_len=100, seed=0)

    by_steps = make_plan(packer, Hyperparameters(training_steps=30, epochs=9, seq_len=100), tokens_per_second=10)
    by_epochs = make_plan(packer, Hyperparameters(epochs=1.5, seq_len=100, batch_size=2))
    by_default = make_plan(packer, Hyperparameters(seq_len=100))

    assert (by_steps.steps, by_steps.epochs, by_steps.data_tokens) == (30, 3.0, 1000)
    assert (by_steps.train_tokens_per_step, by_steps.train_tokens) == (100, 3000)
    assert by_steps.expected_duration_seconds == 330
    assert (by_epochs.steps, by_epochs.train_tokens_per_step, by_epochs.expected_duration_seconds) == (8, 200, None)
    assert by_default.steps == 30


def test_speed_is_estimated_for_models_of_known_size(tiny_model: Path) -> None:
    from ponant.llamacpp.vocabulary import GGUFVocabulary

    speed = estimate_speed(GGUFVocabulary(tiny_model).metadata)
    assert speed is not None
    assert speed > 1000
    assert estimate_speed({}) is None
