"""The prompt builders of a model: of conversations and of fill-in-the-middle."""

from collections.abc import Callable
from pathlib import Path

from ponant.errors import ModelLoadError
from ponant.prompts.chat.prompt import PromptBuilder
from ponant.prompts.fim.prompts import FimPrompts, has_fim_tokens
from ponant.prompts.mistral.renderer import MistralRenderer, mistral_renderer
from ponant.prompts.mistral.tokenizer import TokenizerError, find_tokenizer_file
from ponant.prompts.vocabulary import Vocabulary


def build_prompts(
    name: str, weights: Path, vocabulary: Vocabulary, *, context: int, tokenizer: Path | None
) -> tuple[PromptBuilder, FimPrompts]:
    """Make the prompt builders of a model.

    Args:
        name: the model's id.
        weights: the file of its weights; Mistral's tokenizer file is looked for in the same folder.
        vocabulary: its tokens.
        context: the longest sequence in tokens.
        tokenizer: the file of Mistral's tokenizer, if it is in another folder.

    Raises:
        ModelLoadError: the tokenizer file cannot be used.
    """
    renderer = _renderer(weights, vocabulary, context, tokenizer)
    chat = PromptBuilder(vocabulary, context=context, renderer=renderer)
    encode = _fim_encoder(renderer, name, vocabulary)
    return chat, FimPrompts(vocabulary, context=context, chat=chat, encode=encode)


def has_native_fim(name: str, weights: Path, vocabulary: Vocabulary, *, context: int, tokenizer: Path | None) -> bool:
    """True if a model was trained for fill-in-the-middle; arguments and errors as for ``build_prompts``."""
    # Builders take a while to make, so only a tokenizer file makes them necessary here.
    if not tokenizer and not find_tokenizer_file(weights):
        return has_fim_tokens(vocabulary)
    encode = _fim_encoder(_renderer(weights, vocabulary, context, tokenizer), name, vocabulary)
    return encode is not None or has_fim_tokens(vocabulary)


def _renderer(weights: Path, vocabulary: Vocabulary, context: int, tokenizer: Path | None) -> MistralRenderer | None:
    try:
        return mistral_renderer(weights, vocabulary, context=context, tokenizer=tokenizer)
    except TokenizerError as error:
        raise ModelLoadError(str(error)) from None


def _fim_encoder(
    renderer: MistralRenderer | None, name: str, vocabulary: Vocabulary
) -> Callable[[str, str | None], list[int]] | None:
    """Return the FIM encoder of Mistral's library if the model was trained with it."""
    return renderer.encode_fim(f"{name} {vocabulary.metadata.get('general.name', '')}") if renderer else None
