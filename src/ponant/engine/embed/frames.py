"""What crosses the socket between an embedder and its worker process."""

import msgspec

from ponant.engine.embed.base import EmbedderConfig, EmbedderInfo
from ponant.processes.frames import Loaded, LoadFailed


class LoadEmbedder(msgspec.Struct, tag=True, frozen=True):
    """To the worker, first of all: load this model."""

    config: EmbedderConfig


class Embed(msgspec.Struct, tag=True, frozen=True):
    """To the worker: embed these texts. ``id`` names the request from now on."""

    id: int
    texts: list[str]


class Drop(msgspec.Struct, tag=True, frozen=True):
    """To the worker: nobody waits for this request any more."""

    id: int


class Embedded(msgspec.Struct, tag=True, frozen=True):
    """From the worker: the vectors of all texts of a request, float32 one after the other, and their token counts."""

    id: int
    vectors: bytes
    tokens: list[int]


class TooLong(msgspec.Struct, tag=True, frozen=True):
    """From the worker: the request is refused for a text; the fields are those of ``InputTooLongError``."""

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
    """The frame of a body that the worker received. Raises msgspec.DecodeError."""
    frame: ToEmbedder = _to_embedder.decode(body)
    return frame


def decode_from_embedder(body: bytes) -> FromEmbedder:
    """The frame of a body that the worker sent. Raises msgspec.DecodeError."""
    frame: FromEmbedder = _from_embedder.decode(body)
    return frame
