"""Construction of a model's prompt builders."""

from collections.abc import Callable
from pathlib import Path

from ponant.errors import ModelLoadError
from ponant.prompts.chat.prompt import PromptBuilder
from ponant.prompts.fim.prompts import FimPrompts, has_fim_tokens
from ponant.prompts.mistral.renderer import MistralRenderer, mistral_renderer
from ponant.prompts.mistral.tokenizer import TokenizerError, find_tokenizer_file
from ponant.prompts.vocabulary import Vocabulary


def build_prompts(
    name: str, weights: Path | None, vocabulary: Vocabulary, *, context: int, tokenizer: Path | None
) -> tuple[PromptBuilder, FimPrompts]:
    """Build the chat and the fill-in-the-middle prompt builder of a model.

    Args:
        name: the model's id.
        weights: path of the model file, if it is on this machine; its folder is searched for Mistral's tokenizer file.
        vocabulary: the model's vocabulary.
        context: context length in tokens.
        tokenizer: path of Mistral's tokenizer file, if it is elsewhere.

    Raises:
        ModelLoadError: the tokenizer file cannot be used.
    """
    renderer = _renderer(weights, vocabulary, context, tokenizer)
    chat = PromptBuilder(vocabulary, context=context, renderer=renderer)
    encode = _fim_encoder(renderer, name, vocabulary)
    return chat, FimPrompts(vocabulary, context=context, chat=chat, encode=encode)


def has_native_fim(name: str, weights: Path, vocabulary: Vocabulary, *, context: int, tokenizer: Path | None) -> bool:
    """Return True if a model was trained for fill-in-the-middle; arguments and errors as for ``build_prompts``."""
    # Building is slow, and only necessary to read a tokenizer file.
    if not tokenizer and not find_tokenizer_file(weights):
        return has_fim_tokens(vocabulary)
    encode = _fim_encoder(_renderer(weights, vocabulary, context, tokenizer), name, vocabulary)
    return encode is not None or has_fim_tokens(vocabulary)


def _renderer(
    weights: Path | None, vocabulary: Vocabulary, context: int, tokenizer: Path | None
) -> MistralRenderer | None:
    try:
        return mistral_renderer(weights, vocabulary, context=context, tokenizer=tokenizer)
    except TokenizerError as error:
        raise ModelLoadError(str(error)) from None


def _fim_encoder(
    renderer: MistralRenderer | None, name: str, vocabulary: Vocabulary
) -> Callable[[str, str | None], list[int]] | None:
    """Return the FIM encoder of Mistral's library; None if the model was not trained with its format."""
    return renderer.encode_fim(f"{name} {vocabulary.metadata.get('general.name', '')}") if renderer else None
