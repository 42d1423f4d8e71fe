"""``ponant inspect``."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponant.cli.configuration import find_model, settings, with_settings
from ponant.cli.errors import fail
from ponant.sizes import megabytes

if TYPE_CHECKING:
    from ponant.weights.inspection import Inspection

_INSTRUCTED = "by instructions, as the template has no format"


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all metadata of the file.")
@click.option("--template", is_flag=True, help="Print only the chat template of the file.")
@with_settings
def inspect(*, model: str, as_json: bool, template: bool, config: Path | None, data_dir: Path | None) -> None:
    """Show details of MODEL without loading it.

    MODEL is an id from `ponant models`, smollm2, the path of a .gguf file, or a pulled hf:org/repo[:file|:quant]. The
    output has the facts stated by the file, the formats of tool calls and thinking, the support for fill-in-the-middle,
    the tokenizer, and the memory.
    """
    from ponant.errors import ModelLoadError
    from ponant.weights.errors import ModelNotFoundError
    from ponant.weights.inspection import inspect_model

    read = settings(config, data_dir)
    try:
        found, path = find_model(model, read)
        inspection = inspect_model(path, tokenizer=found.tokenizer)
    except (ModelNotFoundError, ModelLoadError) as error:
        fail(str(error))
    if template:
        source = inspection.metadata.get("tokenizer.chat_template")
        click.echo(source) if source is not None else fail(f"{model} has no chat template", code=1)
    elif as_json:
        document = {"id": found.id, "path": path, **asdict(inspection)}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))
    else:
        lines = [("file", str(path)), *_lines(inspection)]
        width = max(len(title) for title, _ in lines) + 2
        click.echo("\n".join([found.id, *(f"  {title:{width}}{text}" for title, text in lines)]))


def _lines(inspection: "Inspection") -> Iterator[tuple[str, str]]:
    """Yield the lines of the output as pairs of title and text."""
    facts, memory, chat = inspection.facts, inspection.memory, inspection.chat
    described: dict[str, Any] = {
        "name": facts.name,
        "organization": facts.organization,
        "architecture": facts.architecture,
        "kind": facts.kind,
        "parameters": f"{facts.parameters / 1e6:,.0f} million",
        "format": facts.quantization,
        "context": facts.context and f"{facts.context:,} tokens",
        "vocabulary": f"{facts.vocabulary:,} tokens",
        "license": facts.license,
    }
    yield from ((title, str(text or "not stated by the file")) for title, text in described.items())
    if chat:
        yield "chat template", chat.template
        yield "tool calls", " ".join(chat.calls.split()) if chat.calls else _INSTRUCTED
        yield "thinking", "...".join(chat.thinking) if chat.thinking else _INSTRUCTED
    if inspection.fim:
        own = inspection.fim == "native"
        yield (
            "fill in the middle",
            "with the model's own tokens" if own else "by instructions, without own tokens",
        )
    yield "tokenizer", str(inspection.tokenizer.file or "the file's own")
    if inspection.tokenizer.advice:
        yield "", inspection.tokenizer.advice
    cache = memory.kv_per_1000_tokens
    yield (
        "memory",
        f"weights {megabytes(memory.weights)}" + (f", KV cache {megabytes(cache)} for 1,000 tokens" if cache else ""),
    )
    if memory.plan and cache:
        cells = memory.plan.cells
        yield (
            "by default",
            f"context {memory.plan.context} tokens, KV cache {cells} tokens ({megabytes(cells * cache // 1000)})",
        )
    if memory.refusal:
        yield "by default", memory.refusal
