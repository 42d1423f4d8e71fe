"""How much of a prompt may be computed beside running completions without stalling them."""

_SMOOTHING = 0.2
_STRETCH = 2.0
"""How many times as long as a step without prefill a step with prefill may take."""
_FEWEST_TOKENS = 8
_FIRST_GUESS = 64


class Pacer:
    """Learns from the steps what tokens cost on this machine, and sizes the next chunk of prefill by it."""

    def __init__(self, most_tokens: int) -> None:
        self._most_tokens = most_tokens
        self._decode_seconds: float | None = None
        self._prefill_token_seconds: float | None = None

    def observe(self, decoded: int, prefilled: int, seconds: float) -> None:
        """Take note of a step that decoded one token for each of ``decoded`` sequences beside ``prefilled`` tokens."""
        if decoded and not prefilled:
            self._decode_seconds = _smooth(self._decode_seconds, seconds)
        elif prefilled >= _FEWEST_TOKENS:
            rest = seconds - (self._decode_seconds or 0.0 if decoded else 0.0)
            if rest > 0:
                self._prefill_token_seconds = _smooth(self._prefill_token_seconds, rest / prefilled)

    def prefill_tokens(self, decoding: int) -> int:
        """The most tokens of prefill that the next step should have beside ``decoding`` running completions."""
        if not decoding:
            return self._most_tokens
        if self._decode_seconds is None or self._prefill_token_seconds is None:
            return min(_FIRST_GUESS, self._most_tokens)
        affordable = int((_STRETCH - 1) * self._decode_seconds / self._prefill_token_seconds)
        return max(_FEWEST_TOKENS, min(affordable, self._most_tokens))


def _smooth(old: float | None, new: float) -> float:
    return new if old is None else old + _SMOOTHING * (new - old)
