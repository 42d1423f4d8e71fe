"""The text in an answer."""

from collections.abc import Sequence

from ponant.api.messages import ContentChunk, TextChunk


def text_of(content: str | Sequence[ContentChunk] | None) -> str | None:
    """The text of a message or of what is added to one, without what else is in it, such as thoughts."""
    if content is None or isinstance(content, str):
        return content
    return "".join(chunk.text for chunk in content if isinstance(chunk, TextChunk))
