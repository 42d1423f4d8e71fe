"""One choice of a completion in progress."""

import msgspec

from ponant.api.chat import FinishReason, TokenLogprob
from ponant.completion.logprobs import token_logprobs
from ponant.completion.output import AnswerOutput
from ponant.completion.parts import CallBegun, Part, Text
from ponant.engine.base import Delta
from ponant.prompts.text_places import TextPlaces
from ponant.prompts.vocabulary import Vocabulary


class Update(msgspec.Struct, frozen=True):
    """New parts of one choice.

    Attributes:
        choice: index of the choice.
        parts: parts of the answer, in their order.
        logprobs: log-probabilities of the tokens, if they were asked for; in a text completion of those whose text is
            shown.
        finish: reason of the end, in the last update of a choice.
    """

    choice: int
    parts: list[Part]
    logprobs: list[TokenLogprob]
    finish: FinishReason | None


class Choice:
    """A choice in progress.

    Attributes:
        finish: reason of the end; None while it runs.
        accepted: number of right tokens of the prediction.
        rejected: number of wrong tokens of the prediction.
        grammar_failed: True if the completion ended because its grammar failed.
    """

    def __init__(
        self,
        index: int,
        output: AnswerOutput,
        vocabulary: Vocabulary,
        *,
        places: TextPlaces | None = None,
        writes_end: bool = False,
    ) -> None:
        """Start with no tokens.

        Args:
            index: index of the choice.
            output: reads its tokens.
            vocabulary: spells the tokens of log-probabilities.
            places: locates these tokens in a text completion.
            writes_end: True if they include the token that ended the completion.
        """
        self.finish: FinishReason | None = None
        self.accepted = 0
        self.rejected = 0
        self.grammar_failed = False
        self._index = index
        self._output = output
        self._vocabulary = vocabulary
        self._places = places
        self._shown = places.start if places else 0
        self._unshown: list[TokenLogprob] = []
        self._writes_end = writes_end
        self._has_calls = False

    @property
    def tokens(self) -> int:
        """Number of tokens so far."""
        return self._output.tokens

    @property
    def stopped(self) -> bool:
        """True if a stop string or an end token was found: further tokens do not count."""
        return self._output.stopped

    def push(self, delta: Delta) -> Update:
        """Return the parts that a delta of the engine adds."""
        self.accepted, self.rejected = delta.accepted, delta.rejected
        counted = self._output.tokens
        parts = self._output.push(delta.tokens)
        logprobs = self._logprobs_of(delta, self._output.tokens - counted) if delta.logprobs else []
        if delta.finish and not self._output.stopped:
            parts += self._output.finish()
        for part in parts:
            self._has_calls = self._has_calls or isinstance(part, CallBegun)
        self.grammar_failed = delta.finish == "grammar"
        reason: FinishReason | None = "error" if delta.finish == "grammar" else delta.finish
        return self._update(parts, logprobs, "stop" if self._output.stopped else reason)

    def end(self, reason: FinishReason) -> Update:
        """End the choice without further tokens."""
        return self._update([], [], reason)

    def _logprobs_of(self, delta: Delta, counted: int) -> list[TokenLogprob]:
        """Return the log-probabilities of the first ``counted`` tokens of a delta, and of its end if that is asked."""
        tokens = delta.tokens if delta.end is None else [*delta.tokens, delta.end]
        ended = self._output.ended or (delta.end is not None and not self._output.stopped)
        known = (delta.logprobs or [])[: counted + (1 if ended and self._writes_end else 0)]
        return token_logprobs(self._vocabulary, tokens[: len(known)], known, self._places)

    def _update(self, parts: list[Part], logprobs: list[TokenLogprob], reason: FinishReason | None) -> Update:
        self.finish = "tool_calls" if reason == "stop" and self._has_calls else reason
        known = self._shown_of(logprobs, parts) if self._places else logprobs
        return Update(self._index, parts, known, self.finish)

    def _shown_of(self, logprobs: list[TokenLogprob], parts: list[Part]) -> list[TokenLogprob]:
        """Return the log-probabilities of tokens whose text begins in the shown text; at the end, those of all."""
        self._unshown += logprobs
        self._shown += sum(len(part.text) for part in parts if isinstance(part, Text))
        if self.finish:
            for token in self._unshown:
                token.text_offset = min(token.text_offset or 0, self._shown)
        shown = [token for token in self._unshown if self.finish or (token.text_offset or 0) < self._shown]
        del self._unshown[: len(shown)]
        return shown
