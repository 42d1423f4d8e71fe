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

_INSTRUCTED = "none of its own, it is told of one"


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all that the file says.")
@click.option("--template", is_flag=True, help="Print the chat template of the file and nothing else.")
@with_settings
def inspect(*, model: str, as_json: bool, template: bool, config: Path | None, data_dir: Path | None) -> None:
    """Tell what MODEL is, without loading it.

    MODEL is an id that ponant models shows, smollm2, the path of a .gguf file, or hf:org/repo[:file|:quant] that was
    pulled. Shown are what the file says of the model, how it writes calls of tools and its thinking, whether it has
    tokens of its own for filling in the middle, who makes tokens of text, and the memory that it takes.
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
    """What a person reads, by titles."""
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
    yield from ((title, str(text or "the file does not say")) for title, text in described.items())
    if chat:
        yield "chat template", chat.template
        yield "calls of tools", " ".join(chat.calls.split()) if chat.calls else _INSTRUCTED
        yield "thinking", "...".join(chat.thinking) if chat.thinking else _INSTRUCTED
    if inspection.fim:
        own = inspection.fim == "native"
        yield "filling in", "with tokens of its own" if own else "prompted, as it has no tokens for it"
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
