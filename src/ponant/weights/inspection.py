"""What a model's file says of it, without loading the weights."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.memory import MemoryPlan, plan_memory
from ponant.errors import ModelLoadError
from ponant.llamacpp.memory import model_size
from ponant.llamacpp.vocabulary import Vocabulary
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
    """How the model chats.

    ``template``: where the form of conversations comes from. ``calls``: a call of a tool as the model writes it, None
    if it must be told of a form. ``thinking``: what stands around its thinking, None if it must be told.
    """

    template: Template
    calls: str | None
    thinking: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class TokenizerSource:
    """Who makes tokens of text: ``file`` is Mistral's own tokenizer file, if there is one; ``advice`` what to mend."""

    file: Path | None = None
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: of the weights, and of KV cache for 1,000 tokens (None: it cannot be told, or there is no cache).

    ``plan`` is what `ponant serve` would choose now without settings, ``refusal`` why it would not start.
    """

    weights: int
    kv_per_1000_tokens: int | None = None
    plan: MemoryPlan | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that can be said of a model before it is loaded.

    ``fim`` is how it fills in the middle, ``metadata`` all key-value pairs of the file but lists.
    """

    facts: Facts
    memory: Memory
    tokenizer: TokenizerSource
    metadata: dict[str, str]
    chat: ChatFormat | None = None
    fim: Literal["native", "prompted"] | None = None


def inspect_model(path: Path, *, tokenizer: Path | None = None) -> Inspection:
    """What a GGUF file says, and what follows from it.

    Args:
        path: the file, or the first one of split weights.
        tokenizer: Mistral's own tokenizer file, if it is not beside the weights.

    Raises:
        ModelLoadError: it is no model.
    """
    with contextlib.closing(Vocabulary(path)) as vocabulary:
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
    file: Path | None, vocabulary: Vocabulary, context: int
) -> tuple[MistralRenderer | None, str | None]:
    """The renderer of models with Mistral's tokenizer file, and what to do to have one."""
    if file:
        try:
            return MistralRenderer(file, vocabulary, context=context), None
        except TokenizerError as error:
            return None, str(error)
    if is_mistral(vocabulary):
        return None, (
            "this looks like a model of Mistral's: put its tekken.json or tokenizer.model.v* beside the weights, or "
            "name that file in its setting tokenizer"
        )
    return None, None


def _chat(renderer: Renderer, *, has_template: bool) -> ChatFormat:
    template: Template = "the file's own" if has_template else "none, a plain one is used"
    return ChatFormat(
        "Mistral's tokenizer" if isinstance(renderer, MistralRenderer) else template,
        calls=_example(renderer.calls) if renderer.calls else None,
        thinking=(renderer.thinking.open, renderer.thinking.close) if renderer.thinking else None,
    )


def _memory(path: Path, vocabulary: Vocabulary) -> Memory:
    size = model_size(vocabulary.metadata, vocabulary.weights, "f16")
    if not size.context or size.kv_bytes_per_token == 1:
        return Memory(vocabulary.weights)
    try:
        chosen = plan_memory(size, EngineConfig(str(path)), available_memory())
    except ModelLoadError as error:
        return Memory(vocabulary.weights, 1000 * size.kv_bytes_per_token, refusal=str(error))
    return Memory(vocabulary.weights, 1000 * size.kv_bytes_per_token, chosen)


def _example(form: CallFormat) -> str:
    """A call in this form."""
    if isinstance(form, JsonCalls):
        return form.text("get_weather", {"city": "Paris"})
    call_id = form.before_id and form.before_id + _EXAMPLE_ID
    return f'{form.trigger}get_weather{call_id}{form.before_arguments}{{"city": "Paris"}}'
