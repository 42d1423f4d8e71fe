"""The frames between an embedder and its worker process."""

import msgspec

from ponant.engine.embed.base import EmbedderConfig, EmbedderInfo, EmbeddingText
from ponant.processes.frames import Loaded, LoadFailed


class LoadEmbedder(msgspec.Struct, tag=True, frozen=True):
    """To the worker, as the first frame: load this model."""

    config: EmbedderConfig


class Embed(msgspec.Struct, tag=True, frozen=True):
    """To the worker: embed these texts. Later frames refer to the request by ``id``."""

    id: int
    texts: list[EmbeddingText]


class Drop(msgspec.Struct, tag=True, frozen=True):
    """To the worker: the request was cancelled."""

    id: int


class Embedded(msgspec.Struct, tag=True, frozen=True):
    """From the worker: the vectors of all texts of a request, as consecutive float32, and their token counts."""

    id: int
    vectors: bytes
    tokens: list[int]


class TooLong(msgspec.Struct, tag=True, frozen=True):
    """From the worker: a text is too long; the fields are those of ``InputTooLongError``."""

    id: int
    index: int
    tokens: int
    exact: bool


class EmbedFailed(msgspec.Struct, tag=True, frozen=True):
    """From the worker: a text of the request cannot be embedded."""

    id: int
    message: str


ToEmbedder = LoadEmbedder | Embed | Drop
Answer = Embedded | TooLong | EmbedFailed
FromEmbedder = Loaded[EmbedderInfo] | LoadFailed | Answer

_to_embedder = msgspec.msgpack.Decoder(ToEmbedder)
_from_embedder = msgspec.msgpack.Decoder(FromEmbedder)


def decode_to_embedder(body: bytes) -> ToEmbedder:
    """Decode the body of a frame to the worker. Raises msgspec.DecodeError."""
    frame: ToEmbedder = _to_embedder.decode(body)
    return frame


def decode_from_embedder(body: bytes) -> FromEmbedder:
    """Decode the body of a frame from the worker. Raises msgspec.DecodeError."""
    frame: FromEmbedder = _from_embedder.decode(body)
    return frame
