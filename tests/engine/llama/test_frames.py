"""Frames over a byte stream that arrives in arbitrary parts."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.base import Delta, GenerateRequest, Sampling
from ponant.engine.llama.config import DeviceUse, EngineConfig, EngineInfo
from ponant.engine.llama.frames import (
    Cancel,
    FromWorker,
    Generate,
    Load,
    Stepped,
    ToWorker,
    decode_from_worker,
    decode_to_worker,
)
from ponant.engine.report import StepReport
from ponant.processes.frames import HEADER, FrameBuffer, Loaded, LoadFailed, encode

TO_WORKER: list[ToWorker] = [
    Load(EngineConfig("/models/é.gguf", context=100, deterministic=True)),
    Generate(1, GenerateRequest([1, 2, 3], [2**64 - 1], max_tokens=5, sampling=Sampling(temperature=0.25, top_k=3))),
    Generate(2, GenerateRequest(list(range(300)), [1, 2], min_tokens=3)),
    Cancel(1),
    Cancel(2, 15),
]
FROM_WORKER: list[FromWorker] = [
    Loaded(EngineInfo(1, 2, 3, 4, 5, 6, 7, 8, 9, [DeviceUse("CUDA0", "GPU", 1, 2, 3, 4, 5)])),
    LoadFailed("no such file"),
    Stepped([], []),
    StepReport(),
    StepReport(1, 2, 3, 4, 5, 6, 7.5, 8, 9, 10),
    Stepped([7, 8], [(7, Delta(0, [1, 2])), (8, Delta(3, [], "stop")), (8, Delta(4, [9], "model_length", 12))]),
]


@pytest.mark.parametrize("frame", TO_WORKER, ids=repr)
def test_frames_to_the_worker_arrive_as_sent(frame: ToWorker) -> None:
    (body,) = FrameBuffer().feed(encode(frame))
    assert decode_to_worker(body) == frame


@pytest.mark.parametrize("frame", FROM_WORKER, ids=repr)
def test_frames_from_the_worker_arrive_as_sent(frame: FromWorker) -> None:
    (body,) = FrameBuffer().feed(encode(frame))
    assert decode_from_worker(body) == frame


@given(bodies=st.lists(st.binary(max_size=300)), data=st.data())
def test_any_cutting_of_the_stream_gives_the_same_frames(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(HEADER.pack(len(body)) + body for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    buffer = FrameBuffer()
    received = [
        body for start, end in itertools.pairwise([0, *cuts, len(stream)]) for body in buffer.feed(stream[start:end])
    ]
    assert received == bodies


def test_frame_comes_with_its_last_byte() -> None:
    buffer = FrameBuffer()
    stream = encode(Cancel(5)) + encode(Cancel(6))
    first = len(encode(Cancel(5)))
    received = [buffer.feed(stream[index : index + 1]) for index in range(len(stream))]
    assert [index for index, bodies in enumerate(received) if bodies] == [first - 1, len(stream) - 1]


@given(st.binary(max_size=50))
def test_nonsense_raises_a_decode_error_or_is_a_frame(body: bytes) -> None:
    for decode in (decode_to_worker, decode_from_worker):
        try:
            frame = decode(body)
        except msgspec.DecodeError:
            continue
        assert encode(frame)


@pytest.mark.parametrize("frame", FROM_WORKER, ids=repr)
def test_each_side_refuses_the_frames_of_its_own(frame: FromWorker) -> None:
    (body,) = FrameBuffer().feed(encode(frame))
    with pytest.raises(msgspec.DecodeError):
        decode_to_worker(body)
