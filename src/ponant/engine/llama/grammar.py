"""Grammars of completions, by llguidance.

After each token llguidance gives the set of allowed tokens, and the tokens that must follow, which need not be drawn.
It is imported with the first grammar, as most engines need none.
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
"""Byte before control tokens, by which llguidance recognises them; no text has it."""
_MOST_KEPT = 32
"""Number of compiled grammars that are cached."""
_REHEARSED = 6
"""Number of tokens of the sample that is generated with a new grammar."""


class GrammarError(Exception):
    """Unusable grammar. The message is llguidance's."""


class GrammarTokenizer:
    """Vocabulary of a model in llguidance's form. Its construction takes about a second."""

    def __init__(self, vocab: Any, vocabulary_size: int, end_tokens: frozenset[int]) -> None:
        """Read the vocabulary.

        Args:
            vocab: llama.cpp's handle of the vocabulary.
            vocabulary_size: number of logits per token.
            end_tokens: tokens that may follow where the grammar is complete.
        """
        from llguidance import LLTokenizer

        self.vocabulary_size = vocabulary_size
        # llguidance.llamacpp would treat some tokens that are text, such as <tool_call>, as control tokens.
        make: Any = LLTokenizer
        self.tokenizer = make.from_llamacpp(
            tokens=written_tokens(vocab, control_mark=_CONTROL_MARK),
            vocab_ptr=vocab,
            tokenize_fptr=TOKENIZE_ADDRESS,
            eos_token=sorted(end_tokens) or end_of_sequence(vocab),
        )


class Grammar:
    """Position of one completion in a grammar."""

    def __init__(self, tokenizer: GrammarTokenizer, source: "str | LLMatcher") -> None:
        """Begin at the start of a grammar.

        Args:
            tokenizer: vocabulary of the model.
            source: grammar in llguidance's JSON form or its dialect of Lark, or a compiled grammar.

        Raises:
            GrammarError: the grammar cannot be compiled.
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
        """Return a copy at the same position, for another completion."""
        return Grammar(self._tokenizer, self._matcher.deep_copy())

    def rehearse(self) -> None:
        """Generate the beginning of a sample with a copy.

        llguidance reports most limits of its resources with the first masks, not with the compilation.

        Raises:
            GrammarError: the grammar is too complex to follow.
        """
        sample = self.copy()
        for place in range(_REHEARSED):
            for token in sample.forced():
                sample.accept(token)
            if sample.done or sample.failed:
                break
            allowed = np.flatnonzero(sample._allowed())
            if not len(allowed):
                break
            sample.accept(int(allowed[(place + 1) * len(allowed) // (_REHEARSED + 1)]))
        if sample.failed:
            raise GrammarError(sample._matcher.get_error())

    @property
    def failed(self) -> bool:
        """True if llguidance has failed: a token was not allowed, or the grammar became too complex."""
        return self._matcher.is_error()

    @property
    def done(self) -> bool:
        """True if the completion is complete and no token may follow."""
        return self._matcher.is_stopped()

    def mask(self, logits: NDArray[np.float32]) -> None:
        """Set the logits of disallowed tokens to minus infinity; of all tokens, if the grammar has failed.

        Args:
            logits: float32, shape (vocabulary size,). Changed in place.
        """
        bits = self._allowed()
        if self._matcher.is_error():
            logits[:] = -np.inf
            return
        logits[bits == 0] = -np.inf

    def _allowed(self) -> NDArray[np.uint8]:
        """Return 1 for each token that may follow, else 0; shape (vocabulary size,)."""
        self._fill_mask(self._matcher, self._mask)
        return np.unpackbits(
            self._mask.view(np.uint8).ravel(), count=self._tokenizer.vocabulary_size, bitorder="little"
        )

    def accept(self, token: int) -> None:
        """Advance by a token."""
        self._matcher.consume_token(token)

    def forced(self) -> list[int]:
        """Return the tokens that must follow, up to the first that is not determined."""
        return self._matcher.compute_ff_tokens()


class GrammarCompiler:
    """Compiler of grammars in a thread of its own. Its methods must be called from a single thread."""

    def __init__(self, make_tokenizer: Callable[[], GrammarTokenizer]) -> None:
        """Start the thread; ``make_tokenizer`` is called for the first grammar."""
        self._make_tokenizer = make_tokenizer
        self._tokenizer: GrammarTokenizer | None = None
        self._thread = ThreadPoolExecutor(1, "grammar")
        self._compiled: OrderedDict[str, Grammar] = OrderedDict()
        self._done: SimpleQueue[tuple[int, str, Future[Grammar]]] = SimpleQueue()
        self._wakes, self._woken = os.pipe()

    def fileno(self) -> int:
        """Return a file descriptor that is readable when a grammar is done."""
        return self._wakes

    def compile(self, key: int, source: str) -> None:
        """Start to compile a grammar, which ``finished`` returns with this key."""

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
        """Return the keys and grammars that were compiled since the last call; None for a failed one."""
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
        try:
            grammar = Grammar(self._tokenizer, source)
            grammar.rehearse()
        except GrammarError:
            raise
        except BaseException as panic:  # llguidance's panics are not exceptions
            raise GrammarError(str(panic)) from panic
        return grammar
