"""Encoding of files line by line: bad lines are reported, samples of good lines are stored."""

import json
import resource
from pathlib import Path

import pytest

from ponant.training.dataset import MAX_LINE_BYTES, EncodedFile, InvalidDatasetError, encode_file
from ponant.training.report import read_report
from ponant.training.samples import SampleEncoder
from tests.training.encoders import Model
from tests.training.runs import conversation, write_lines

GOOD = json.dumps(conversation("hello", "the and")).encode()


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> SampleEncoder:
    return Model(tiny_model).encoder(seq_len=128)


def test_samples_are_kept_as_they_were_encoded(tmp_path: Path, encoder: SampleEncoder) -> None:
    lines = [conversation("hello", "the " * count) for count in range(1, 6)]

    report = encode_file(write_lines(tmp_path / "a.jsonl", lines), tmp_path / "out", encoder)

    kept = EncodedFile.open(tmp_path / "out")
    expected = [encoder.encode(json.dumps(line).encode()).samples[0] for line in lines]
    for index, sample in enumerate(expected):
        tokens, learned = kept.sample(index)
        assert (tokens.tolist(), learned.tolist()) == (sample.tokens, sample.learned)
    assert (report.lines, report.samples, report.invalid) == (5, 5, 0)
    assert report.tokens == sum(len(sample.tokens) for sample in expected) == kept.lengths.sum()
    assert report.learned_tokens == sum(sum(sample.learned) for sample in expected)
    assert read_report(tmp_path / "out") == report


def test_bad_lines_are_told_with_their_numbers_and_reasons(tmp_path: Path, encoder: SampleEncoder) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD + b"\r\n\n  \nnonsense\n" + GOOD + b'\n{"messages": []}\n' + GOOD)

    report = encode_file(path, tmp_path / "out", encoder, max_invalid=0.4)

    assert (report.lines, report.samples, report.invalid) == (5, 3, 2)
    assert [bad.line for bad in report.bad_lines] == [4, 6]
    assert "not JSON" in report.bad_lines[0].reason
    assert "at least 1 item" in report.bad_lines[1].reason


def test_more_bad_lines_than_may_be_skipped_refuse_the_file(tmp_path: Path, encoder: SampleEncoder) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + b"\nnonsense\n" + GOOD)

    with pytest.raises(
        InvalidDatasetError, match=r"1 of 3 lines of a.jsonl are invalid, 30% are allowed:\nline 2: not JSON"
    ):
        encode_file(path, tmp_path / "out", encoder, max_invalid=0.3)

    assert read_report(tmp_path / "out").bad_lines[0].line == 2


def test_every_bad_line_is_counted_and_the_first_hundred_are_told(tmp_path: Path, encoder: SampleEncoder) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x\n" * 250)

    with pytest.raises(InvalidDatasetError, match="250 of 250"):
        encode_file(path, tmp_path / "out", encoder, max_invalid=0.5)

    report = read_report(tmp_path / "out")
    assert (report.invalid, len(report.bad_lines)) == (250, 100)


def test_an_empty_file_is_refused(tmp_path: Path, encoder: SampleEncoder) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n\n")

    with pytest.raises(InvalidDatasetError, match=r"a.jsonl is empty"):
        encode_file(tmp_path / "a.jsonl", tmp_path / "out", encoder)


def test_a_file_that_was_deleted_meanwhile_is_told_by_its_name_alone(tmp_path: Path, encoder: SampleEncoder) -> None:
    with pytest.raises(InvalidDatasetError, match=r"^the file data\.jsonl no longer exists\. Upload it again"):
        encode_file(tmp_path / "data.jsonl", tmp_path / "samples", encoder)


def test_a_line_without_end_takes_no_memory(tmp_path: Path, encoder: SampleEncoder) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(GOOD + b"\n")
        for _ in range(300):
            file.write(b"x" * 2**20)
        file.write(b"\n" + GOOD)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    report = encode_file(path, tmp_path / "out", encoder, max_invalid=0.5)

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert [(bad.line, bad.reason) for bad in report.bad_lines] == [(2, f"longer than {MAX_LINE_BYTES // 2**20} MiB")]
    assert report.samples == 2
    assert grown * 1024 < 64 * 2**20


def test_a_line_of_just_the_longest_size_is_read(tmp_path: Path, encoder: SampleEncoder) -> None:
    padded = GOOD[:-1] + b" " * (MAX_LINE_BYTES - len(GOOD)) + b"}"
    assert len(padded) == MAX_LINE_BYTES
    (tmp_path / "a.jsonl").write_bytes(padded + b"\r\n" + GOOD)

    assert encode_file(tmp_path / "a.jsonl", tmp_path / "out", encoder).samples == 2
