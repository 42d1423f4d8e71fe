"""Raw prompts: texts that the model continues as they are, or token ids."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ponant.prompts.text_places import TextPlaces
from ponant.prompts.tokenizer import PromptTokenizer, bare
from ponant.prompts.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class RawPart:
    """Part of a raw prompt: its tokens, and the text that they stand for."""

    tokens: Sequence[int]
    text: str


class RawPrompts:
    """Reader of the raw prompts of one model. Thread-safe."""

    def __init__(self, vocabulary: Vocabulary, tokenizer: PromptTokenizer, markers: Collection[int]) -> None:
        """Read prompts.

        Args:
            vocabulary: the model's vocabulary.
            tokenizer: tokenizer of the text between markers.
            markers: tokens that are read in texts: those of fill-in-the-middle.
        """
        self._vocabulary = vocabulary
        self._tokenizer = tokenizer
        self._markers = {bare(vocabulary.text(token)): token for token in markers}
        self._controls = frozenset(vocabulary.control_tokens().values())
        texts = sorted(self._markers, key=len, reverse=True)
        self._marker = re.compile("|".join(map(self._pattern, texts)) or r"(?!)")

    @property
    def start(self) -> int | None:
        """Token at the beginning of a text; of models without one, that at its end. None if there is neither."""
        known = (self._vocabulary.bos, self._vocabulary.eos)
        return next((token for token in known if token in self._controls), None)

    def has_markers(self, text: str) -> bool:
        """Return True if a text has markers."""
        return self._marker.search(text) is not None

    def read(self, text: str) -> list[RawPart]:
        """Return the parts of a text: markers, and what is between them."""
        parts: list[RawPart] = []
        end = 0
        for match in self._marker.finditer(text):
            parts += self._between(text[end : match.start()], continues=end > 0)
            parts.append(RawPart([self._markers[match[0].strip()]], match[0]))
            end = match.end()
        return parts + self._between(text[end:], continues=end > 0)

    def spell(self, tokens: Sequence[int]) -> list[RawPart]:
        """Return the parts of a prompt of token ids."""
        parts: list[RawPart] = []
        plain: list[int] = []
        for token in tokens:
            if self._vocabulary.piece(token):
                plain.append(token)
                continue
            parts += self._decoded(plain)
            parts.append(RawPart([token], self._vocabulary.text(token)))
            plain = []
        return parts + self._decoded(plain)

    def places(self, parts: Sequence[RawPart]) -> list[int]:
        """Return the index in the whole text at which each token begins, or the character that it is a part of."""
        places: list[int] = []
        start = 0
        for part in parts:
            places += [start + place for place in self._places_within(part)]
            start += len(part.text)
        return places

    def _pattern(self, text: str) -> str:
        """Return the pattern of a marker. Some vocabularies have a space before it, which may be missing."""
        spaced = self._vocabulary.text(self._markers[text]).startswith("▁")
        return (" ?" if spaced else "") + re.escape(text)

    def _between(self, text: str, *, continues: bool) -> list[RawPart]:
        return [RawPart(self._tokenizer.tokens(text, continues=continues), text)] if text else []

    def _decoded(self, tokens: list[int]) -> list[RawPart]:
        text = b"".join(map(self._vocabulary.piece, tokens)).decode("utf-8", "replace")
        return [RawPart(tokens, text)] if tokens else []

    def _places_within(self, part: RawPart) -> list[int]:
        pieces = [self._vocabulary.piece(token) for token in part.tokens]
        places = TextPlaces()
        found = [places.place(piece) for piece in pieces]
        decoded = b"".join(pieces).decode("utf-8", "replace")
        added = 1 if decoded == f" {part.text}" else 0  # some vocabularies put a space before a text
        return [min(max(place - added, 0), len(part.text)) for place in found]
