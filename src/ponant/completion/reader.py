"""Reader of answers: separates thinking, text and calls as they are generated."""

from ponant.completion.call_readers import ArgumentCallsReader, JsonCallsReader
from ponant.completion.parts import Part, Text, Thought
from ponant.completion.thinking_reader import ThinkingReader
from ponant.prompts.answer.output_format import OutputFormat
from ponant.prompts.tools.call_formats import ArgumentCalls


class AnswerReader:
    """Reader of one answer: from pieces of text and control tokens to parts of the answer."""

    def __init__(self, output_format: OutputFormat) -> None:
        """Read an answer in this format."""
        self._thinking = ThinkingReader(output_format.thinking) if output_format.thinking else None
        self._calls: JsonCallsReader | ArgumentCallsReader | None = None
        if isinstance(output_format.calls, ArgumentCalls):
            self._calls = ArgumentCallsReader(
                output_format.calls, output_format.functions, untagged=output_format.untagged
            )
        elif output_format.calls:
            self._calls = JsonCallsReader(
                output_format.calls,
                output_format.functions,
                controls=output_format.controls.values(),
                required=output_format.required,
                untagged=output_format.untagged,
            )

    def push(self, text: str, *, control: bool = False) -> list[Part]:
        """Read text, or the name of a control token, and return the parts that it adds."""
        parts: list[Part] = []
        if self._thinking and not self._thinking.done:
            if control and not self._thinking.is_mark(text):
                parts = self._end_thinking()
            else:
                thought, text = self._thinking.push(text)
                parts = [Thought(thought)] if thought else []
                control = False
        return parts + self._read(text, control=control) if text else parts

    def finish(self) -> list[Part]:
        """Return the held parts at the end of the answer."""
        return self._end_thinking() + (list(self._calls.finish()) if self._calls else [])

    def _end_thinking(self) -> list[Part]:
        if self._thinking is None or self._thinking.done:
            return []
        thought, text = self._thinking.finish()
        parts: list[Part] = [Thought(thought)] if thought else []
        return parts + self._read(text, control=False) if text else parts

    def _read(self, text: str, *, control: bool) -> list[Part]:
        if self._calls:
            return list(self._calls.push(text, control=control))
        return [] if control else [Text(text)]
