"""Reader of the thinking before an answer."""

from ponant.completion.partial import partial_length
from ponant.prompts.answer.output_format import Thinking


class ThinkingReader:
    """Reader of the text between the marks of thinking at the beginning of an answer.

    Attributes:
        done: True after the end of the thinking, or if there is none.
    """

    def __init__(self, thinking: Thinking) -> None:
        self._thinking = thinking
        self._begun = thinking.begun
        self._closed = False
        self._held = ""
        self._blank = True
        self.done = False

    def is_mark(self, control: str) -> bool:
        """True if a control token is one of the marks."""
        return control in (self._thinking.open, self._thinking.close)

    def push(self, text: str) -> tuple[str, str]:
        """Read text; return the thinking that it adds, and the text after the thinking."""
        self._held += text
        thought = ""
        if not self._begun and not self._begin():
            return "", self._take() if self.done else ""
        if not self._closed:
            thought = self._think()
        if self._closed and self._held.strip():
            self.done = True
            return thought, self._take().lstrip()
        return thought, ""

    def finish(self) -> tuple[str, str]:
        """Return the held text at the end of the answer: thinking that was cut off, and text."""
        self.done = True
        if self._closed:
            return "", ""
        held = self._take()
        if not self._begun:
            is_cut_mark = not self._thinking.native and self._thinking.open.startswith(held)
            return "", "" if is_cut_mark else held
        kept = len(held) - partial_length(held, self._thinking.close)
        thought = held[:kept].rstrip()
        return (thought.lstrip() if self._blank else thought), ""

    def _begin(self) -> bool:
        """Return True if the thinking has begun. ``done`` is set if there is none."""
        text = self._held.lstrip()
        if text.startswith(self._thinking.open):
            self._begun = True
            self._held = text.removeprefix(self._thinking.open)
        elif not self._thinking.open.startswith(text):
            self.done = True
        return self._begun

    def _think(self) -> str:
        """Return the thinking that can be shown, without the white space around it."""
        before, mark, after = self._held.partition(self._thinking.close)
        if mark:
            self._closed = True
            self._held = after
            thought = before.rstrip()
        else:
            kept = partial_length(self._held, self._thinking.close)
            thought = self._held[: len(self._held) - kept].rstrip()
            self._held = self._held[len(thought) :]
        if self._blank:
            thought = thought.lstrip()
            self._blank = not thought
        return thought

    def _take(self) -> str:
        held, self._held = self._held, ""
        return held
