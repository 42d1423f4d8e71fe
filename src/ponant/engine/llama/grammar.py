"""Completions that must follow a grammar, by llguidance.

After each token llguidance says which tokens may come next, and which ones must: those need not be drawn. It is
imported with the first grammar, as most engines never see one.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ponant.llamacpp.vocabulary import TOKENIZE_ADDRESS, end_of_sequence, written_tokens

if TYPE_CHECKING:
    from llguidance import LLMatcher


_CONTROL_MARK = b"\xff"
"""What llguidance wants before control tokens: a byte that no text has."""
_MOST_KEPT = 32
"""Compiled grammars that are kept for requests to come."""


class GrammarError(Exception):
    """The grammar cannot be used. The message says why, in llguidance's words."""


class GrammarTokenizer:
    """A model's vocabulary as grammars need it. Making one takes about a second."""

    def __init__(self, vocab: Any, vocabulary_size: int, end_tokens: frozenset[int]) -> None:
        """Read the vocabulary.

        Args:
            vocab: llama.cpp's handle of it.
            vocabulary_size: number of logits per token.
            end_tokens: tokens that may come where the grammar is complete.
        """
        from llguidance import LLTokenizer

        self.vocabulary_size = vocabulary_size
        # As in llguidance.llamacpp, but there some tokens that are text, such as <tool_call>, count as control tokens.
        make: Any = LLTokenizer
        self.tokenizer = make.from_llamacpp(
            tokens=written_tokens(vocab, control_mark=_CONTROL_MARK),
            vocab_ptr=vocab,
            tokenize_fptr=TOKENIZE_ADDRESS,
            eos_token=sorted(end_tokens) or end_of_sequence(vocab),
        )


class Grammar:
    """Where one completion is in a grammar."""

    def __init__(self, tokenizer: GrammarTokenizer, source: "str | LLMatcher") -> None:
        """Begin.

        Args:
            tokenizer: of the model that completes.
            source: the grammar, in llguidance's JSON form or its dialect of Lark; or what it was compiled to.

        Raises:
            GrammarError: it cannot be compiled.
        """
        from llguidance import LLMatcher
        from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

        self._tokenizer = tokenizer
        self._fill_mask = fill_next_token_bitmask
        self._matcher = LLMatcher(tokenizer.tokenizer, source) if isinstance(source, str) else source
        self._mask = allocate_token_bitmask(1, tokenizer.vocabulary_size)
        if self._matcher.is_error():
            raise GrammarError(self._matcher.get_error())

    def copy(self) -> "Grammar":
        """Another completion at the same place."""
        return Grammar(self._tokenizer, self._matcher.deep_copy())

    @property
    def failed(self) -> bool:
        """Whether llguidance has given up: a token was not allowed, or the grammar became too complex."""
        return self._matcher.is_error()

    @property
    def done(self) -> bool:
        """Whether the completion is complete and nothing more may come."""
        return self._matcher.is_stopped()

    def mask(self, logits: NDArray[np.float32]) -> None:
        """Set the logits of all tokens that may not come next to minus infinity: of all, if the grammar has failed."""
        self._fill_mask(self._matcher, self._mask)
        if self._matcher.is_error():
            logits[:] = -np.inf
            return
        bits = np.unpackbits(self._mask.view(np.uint8).ravel(), count=len(logits), bitorder="little")
        logits[bits == 0] = -np.inf

    def accept(self, token: int) -> None:
        """Take note of the next token."""
        self._matcher.consume_token(token)

    def forced(self) -> list[int]:
        """The tokens that must come next, up to the first one that there is a choice about."""
        return self._matcher.compute_ff_tokens()


class GrammarCompiler:
    """Compiles grammars in a thread, so that nobody waits for it but those who asked. Not safe to use from several."""

    def __init__(self, make_tokenizer: Callable[[], GrammarTokenizer]) -> None:
        """``make_tokenizer`` is called with the first grammar."""
        self._make_tokenizer = make_tokenizer
        self._tokenizer: GrammarTokenizer | None = None
        self._thread = ThreadPoolExecutor(1, "grammar")
        self._compiled: OrderedDict[str, Grammar] = OrderedDict()
        self._done: SimpleQueue[tuple[int, str, Future[Grammar]]] = SimpleQueue()
        self._wakes, self._woken = os.pipe()

    def fileno(self) -> int:
        """A file descriptor that can be read when something is done."""
        return self._wakes

    def compile(self, key: int, source: str) -> None:
        """Begin to compile a grammar; ``finished`` will give it under this key."""

        def finish(future: "Future[Grammar]") -> None:
            self._done.put((key, source, future))
            os.write(self._woken, b"1")

        if known := self._compiled.get(source):
            future: Future[Grammar] = Future()
            future.set_result(known)
            finish(future)
        else:
            self._thread.submit(self._compile, source).add_done_callback(finish)

    def finished(self) -> list[tuple[int, Grammar | None]]:
        """What was compiled since the last call, by its key; None for what could not be."""
        finished: list[tuple[int, Grammar | None]] = []
        while not self._done.empty():
            os.read(self._wakes, 1)
            key, source, future = self._done.get()
            try:
                grammar = future.result()
            except GrammarError:
                finished.append((key, None))
                continue
            self._compiled[source] = grammar
            self._compiled.move_to_end(source)
            if len(self._compiled) > _MOST_KEPT:
                self._compiled.popitem(last=False)
            finished.append((key, grammar))
        return finished

    def _compile(self, source: str) -> Grammar:
        if self._tokenizer is None:
            self._tokenizer = self._make_tokenizer()
        return Grammar(self._tokenizer, source)
