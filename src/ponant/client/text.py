"""Text of an answer."""

from collections.abc import Sequence

from ponant.api.messages import ContentChunk, TextChunk


def text_of(content: str | Sequence[ContentChunk] | None) -> str | None:
    """Return the text of a message or delta, without chunks of other types, such as thinking."""
    if content is None or isinstance(content, str):
        return content
    return "".join(chunk.text for chunk in content if isinstance(chunk, TextChunk))
