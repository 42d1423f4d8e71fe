"""Server with scripted models in a process of its own, which measures its event loop and its memory.

Started as ``python -m hostile.measured_server MODEL SETTINGS LOOP``, with the settings as JSON. Its first line on
standard output is its address. For each line on standard input it prints a ``Measurement`` as JSON, and begins a new
one. It ends at the end of its input.

If LOOP is ``measured``, the event loop is asyncio's own, because its polls can be observed; if it is ``usual``, it is
uvloop, as in ``ponant serve``. The application, the parser of HTTP and the connections are always those of that.
"""

import asyncio
import contextlib
import functools
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp  # noqa: F401 - before ponant, as each of them takes over llama.cpp's log
import msgspec
import uvloop
from fastapi.exceptions import RequestValidationError

from hostile import process_memory
from hostile.loop_meter import LoopCounts, LoopMeter, count_values
from hostile.scripted_embedder import ScriptedEmbedder
from ponant.server import json_body
from tests.in_process import serving_scripted

CONTEXT = 4096
"""Context of the scripted model in tokens."""
MEASURED, USUAL = "measured", "usual"
"""Kinds of event loops."""


class Measurement(msgspec.Struct):
    """Counts of the event loop, and memory in bytes, since the last measurement.

    Attributes:
        counts: counts of the event loop.
        resident: memory at the end.
        peak: most memory.
        processor: processor time of all threads since the start, in seconds.
    """

    counts: LoopCounts
    resident: int
    peak: int
    processor: float


def main() -> None:
    """Serve until the end of the input."""
    model, settings, loop = sys.argv[1:]
    meter = LoopMeter()
    new_loop = meter.new_loop if loop == MEASURED else uvloop.new_event_loop
    with _counting(meter), _serving(Path(model), new_loop, json.loads(settings)) as url:
        gc.collect()
        gc.freeze()  # as the server does after its start
        process_memory.reset_peak()
        print(url, flush=True)
        for _ in sys.stdin:
            measured = Measurement(meter.reset(), process_memory.resident(), process_memory.peak(), time.process_time())
            process_memory.reset_peak()
            print(msgspec.json.encode(measured).decode(), flush=True)


@contextlib.contextmanager
def _serving(model: Path, new_loop: Callable[[], asyncio.AbstractEventLoop], settings: dict[str, Any]) -> Iterator[str]:
    engine = {"context": CONTEXT}
    with serving_scripted(model, engine=engine, embedder=ScriptedEmbedder, new_loop=new_loop, **settings) as server:
        yield server.url


@contextlib.contextmanager
def _counting(meter: LoopMeter) -> Iterator[None]:
    """Count the values of parsed bodies and the errors of invalid ones."""
    module = vars(json_body)
    parse, begin = module["parse_json"], RequestValidationError.__init__

    def parse_counted(text: bytes) -> Any:
        parsed = parse(text)
        with meter.excused():
            meter.counts.most_values = max(meter.counts.most_values, count_values(parsed))
        return parsed

    @functools.wraps(begin)
    def begin_counted(self: RequestValidationError, errors: Sequence[Any], **options: Any) -> None:
        meter.counts.most_errors = max(meter.counts.most_errors, len(errors))
        begin(self, errors, **options)

    module["parse_json"] = parse_counted
    RequestValidationError.__init__ = begin_counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        module["parse_json"] = parse
        RequestValidationError.__init__ = begin  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
