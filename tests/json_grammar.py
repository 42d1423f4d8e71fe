"""Documents accepted by the grammar of a JSON schema, according to llguidance."""

import json
import math
import random
from typing import Any

from llguidance import LLMatcher, LLTokenizer

from ponant.prompts.json_schema.rules import json_rules

_TOKENIZER = LLTokenizer("byte")
_ENDING = frozenset(b'"}]')


def matcher_of(schema: dict[str, Any], *, strict: bool = True) -> LLMatcher:
    """Return the grammar of a schema. Unless it is strict, keywords that cannot be enforced are left out.

    Raises:
        UnusableSchemaError: the schema cannot be enforced.
    """
    matcher = LLMatcher(_TOKENIZER, f"start: {json_rules([schema], strict=[strict])[0]}", log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher


def accepts(matcher: LLMatcher, document: Any) -> bool:
    """True if the grammar accepts a document, or a text of one."""
    text = document if isinstance(document, bytes) else in_layout(document)
    matcher.reset()
    return matcher.try_consume_tokens(_TOKENIZER.tokenize_bytes(text)) == len(text) and matcher.is_accepting()


def in_layout(document: Any) -> bytes:
    """Return a document in the layout of the grammars."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


def documents(matcher: LLMatcher, *, count: int, seed: int = 0, steps: int = 400) -> list[Any]:
    """Return up to ``count`` random documents; those that do not end within ``steps`` steps are left out."""
    dice = random.Random(seed)
    drawn = [_draw(matcher, dice, steps) for _ in range(count)]
    return [json.loads(text) for text in drawn if text is not None and _is_finite(text)]


def _draw(matcher: LLMatcher, dice: random.Random, steps: int) -> bytes | None:
    """Draw one document; the chance to end grows with each step."""
    matcher.reset()
    text = bytearray()
    for step in range(steps):
        if matcher.is_stopped() or (matcher.is_accepting() and dice.random() < 0.3):
            break
        tokens = matcher.compute_ff_tokens() or [_choose(matcher, dice, step / steps)]
        assert matcher.consume_tokens(tokens), matcher.get_error()
        text += bytes(tokens)
    return bytes(text) if matcher.is_accepting() else None


def _choose(matcher: LLMatcher, dice: random.Random, eagerness: float) -> int:
    mask = matcher.compute_bitmask()
    allowed = [byte for byte in range(256) if mask[byte // 8] >> byte % 8 & 1]
    ending = [byte for byte in allowed if byte in _ENDING]
    assert allowed, "there is no way on"
    return dice.choice(ending if ending and dice.random() < 0.2 + eagerness else allowed)


def _is_finite(text: bytes) -> bool:
    """True if all numbers of a document are finite as doubles, as validators cannot compare others."""
    finite = True

    def read(digits: str) -> float:
        nonlocal finite
        finite = finite and math.isfinite(float(digits))
        return float(digits)

    json.loads(text, parse_float=read)
    return finite
