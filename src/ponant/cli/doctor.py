"""``ponant doctor``."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ponant.cli.configuration import settings, with_settings
from ponant.sizes import megabytes

if TYPE_CHECKING:
    from ponant.doctor.examination import Examination

_PLACES = {
    "device": "on the device",
    "device and processor": "partly on the device",
    "processor": "on the processor",
    "no": "too large",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@with_settings
def doctor(*, as_json: bool, config: Path | None, data_dir: Path | None) -> None:
    """Show what this machine has, what the engine can use of it, and what is wrong.

    The output has the processor, the memory, the devices that llama.cpp can use, the extras that are installed, and
    well-known models that fit, each with its context and the expected memory. Every problem has the command that mends
    it. The exit code is 0 if a model can be served, else 1.
    """
    from ponant.doctor.examination import examine

    found = examine(settings(config, data_dir).data_dir)
    if as_json:
        document = {**asdict(found), "can_serve": found.can_serve}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(found)))
    if not found.can_serve:
        raise SystemExit(1)


def _lines(found: "Examination") -> Iterator[str]:
    processor = found.processor
    yield "Machine"
    yield f"  processor   {processor.name}, {processor.cores} cores ({', '.join(processor.instructions) or 'plain'})"
    yield f"  memory      {megabytes(found.memory)}, {megabytes(found.available)} available"
    for device in found.devices:
        if device.has_memory:
            memory = f"{megabytes(device.free)} of {megabytes(device.total)} free"
            yield f"  {device.name:11} {device.description}, {memory}"
    yield ""
    yield "Engine"
    built = ", ".join(dict.fromkeys(device.backend for device in found.devices)) or "nothing"
    yield f"  llama.cpp   {found.engine or 'not usable'}, computes with {built}"
    yield f"  RPC         {'yes' if found.rpc else 'no'}"
    for backend in found.backends:
        if backend.name != "cpu" and (backend.hardware or not backend.missing):
            state = "; ".join(backend.missing) or f"can be built: make serve BACKEND={backend.name}"
            yield f"  {backend.name:11} {state}"
    yield ""
    yield "Extras"
    for name, purpose, is_installed in found.extras:
        yield f"  {name:11} {'installed' if is_installed else 'missing  '}  {purpose}"
    yield ""
    yield "Models in Q4_K_M (expected)"
    for suited in found.models:
        context = f"{suited.context:,} tokens" if suited.context else ""
        place = _PLACES[suited.fit]
        yield f"  {suited.model.name:28} {megabytes(suited.memory):>8}  {context:>15}  {place}"
    yield ""
    if found.problems:
        yield "Problems"
        for problem in found.problems:
            yield f"  {problem.text}"
            yield f"    {problem.remedy}"
    else:
        yield "No problems."
