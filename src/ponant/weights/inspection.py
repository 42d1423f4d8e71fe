"""Inspection of a model file without loading the weights."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.memory import MemoryPlan, plan_memory
from ponant.errors import ModelLoadError
from ponant.llamacpp.memory import model_size
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.machine import available_memory
from ponant.prompts.chat.prompt import PromptBuilder
from ponant.prompts.chat.rendering import Renderer, TemplateRenderer
from ponant.prompts.fim.prompts import FimPrompts
from ponant.prompts.mistral.renderer import MistralRenderer
from ponant.prompts.mistral.tokenizer import TokenizerError, find_tokenizer_file
from ponant.prompts.tools.call_formats import CallFormat, JsonCalls
from ponant.prompts.vocabulary import is_mistral
from ponant.weights.facts import Facts, facts_of
from ponant.weights.kinds import CHAT_TEMPLATE

Template = Literal["the file's own", "Mistral's tokenizer", "none, a plain one is used"]

_EXAMPLE_ID = "abcdefgh1"


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """The chat format of a model.

    Attributes:
        template: source of the chat template.
        calls: example of a tool call in the model's format; None if the format is given by instructions.
        thinking: texts before and after thinking; None if they are given by instructions.
    """

    template: Template
    calls: str | None
    thinking: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class TokenizerSource:
    """The tokenizer: ``file`` is Mistral's tokenizer file, if it is used; ``advice`` tells how to fix a problem."""

    file: Path | None = None
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of a model, in bytes.

    Attributes:
        weights: size of the weights.
        kv_per_1000_tokens: size of the KV cache for 1,000 tokens; None if it is unknown or there is no cache.
        plan: sizes that `ponant serve` would choose now, without settings.
        refusal: reason why it would not start.
    """

    weights: int
    kv_per_1000_tokens: int | None = None
    plan: MemoryPlan | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of an inspection.

    Attributes:
        fim: kind of support for fill-in-the-middle.
        metadata: key-value pairs of the file, without lists.
    """

    facts: Facts
    memory: Memory
    tokenizer: TokenizerSource
    metadata: dict[str, str]
    chat: ChatFormat | None = None
    fim: Literal["native", "prompted"] | None = None


def inspect_model(path: Path, *, tokenizer: Path | None = None) -> Inspection:
    """Inspect a GGUF file.

    Args:
        path: the file, or the first one of split weights.
        tokenizer: Mistral's tokenizer file, if it is not in the folder of the weights.

    Raises:
        ModelLoadError: the file is not a model.
    """
    with contextlib.closing(GGUFVocabulary(path)) as vocabulary:
        facts = facts_of(vocabulary)
        if facts.kind == "embed":
            return Inspection(facts, Memory(vocabulary.weights), TokenizerSource(), vocabulary.metadata)
        context = facts.context or 1
        found = tokenizer or find_tokenizer_file(path)
        mistral, advice = _mistral_renderer(found, vocabulary, context)
        renderer: Renderer = mistral or TemplateRenderer(vocabulary, context=context)
        prompts = PromptBuilder(vocabulary, context=context, renderer=renderer)
        encode = mistral.encode_fim(f"{path.stem} {facts.name or ''}") if mistral else None
        fim = FimPrompts(vocabulary, context=context, chat=prompts, encode=encode)
        return Inspection(
            facts,
            _memory(path, vocabulary),
            TokenizerSource(found if mistral else None, advice),
            vocabulary.metadata,
            chat=_chat(renderer, has_template=CHAT_TEMPLATE in vocabulary.metadata),
            fim="native" if fim.native else "prompted",
        )


def _mistral_renderer(
    file: Path | None, vocabulary: GGUFVocabulary, context: int
) -> tuple[MistralRenderer | None, str | None]:
    """Return the renderer of Mistral's tokenizer file, or advice on how to get one."""
    if file:
        try:
            return MistralRenderer(file, vocabulary, context=context), None
        except TokenizerError as error:
            return None, str(error)
    if is_mistral(vocabulary):
        return None, (
            "this looks like a Mistral model: put its tekken.json or tokenizer.model.v* in the folder of the weights, "
            "or set tokenizer to that file"
        )
    return None, None


def _chat(renderer: Renderer, *, has_template: bool) -> ChatFormat:
    template: Template = "the file's own" if has_template else "none, a plain one is used"
    return ChatFormat(
        "Mistral's tokenizer" if isinstance(renderer, MistralRenderer) else template,
        calls=_example(renderer.calls) if renderer.calls else None,
        thinking=(renderer.thinking.open, renderer.thinking.close) if renderer.thinking else None,
    )


def _memory(path: Path, vocabulary: GGUFVocabulary) -> Memory:
    size = model_size(vocabulary.metadata, vocabulary.weights, "f16")
    if not size.context or size.kv_bytes_per_token == 1:
        return Memory(vocabulary.weights)
    try:
        chosen = plan_memory(size, EngineConfig(str(path)), available_memory())
    except ModelLoadError as error:
        return Memory(vocabulary.weights, 1000 * size.kv_bytes_per_token, refusal=str(error))
    return Memory(vocabulary.weights, 1000 * size.kv_bytes_per_token, chosen)


def _example(form: CallFormat) -> str:
    """Return an example of a tool call in a format."""
    if isinstance(form, JsonCalls):
        return form.text("get_weather", {"city": "Paris"})
    call_id = form.before_id and form.before_id + _EXAMPLE_ID
    return f'{form.trigger}get_weather{call_id}{form.before_arguments}{{"city": "Paris"}}'
