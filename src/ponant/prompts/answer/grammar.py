"""Grammar of an answer, in llguidance's dialect of Lark."""

import re

from ponant.prompts.answer.output_format import Thinking
from ponant.prompts.answer.spec import AnswerSpec
from ponant.prompts.json_schema.rules import json_rules
from ponant.prompts.tools.call_formats import (
    SPACE,
    CallFormat,
    TerminalWriter,
    arguments_rules,
    characters,
    not_untagged,
    untagged_calls,
)

_BLANK_LINE = "\n\n"
_LINE = 80
"""Maximum tokens of a line of thinking."""


def answer_grammar(
    spec: AnswerSpec, calls: CallFormat, thinking: Thinking | None, *, terminal: TerminalWriter, most_thinking: int
) -> str | None:
    """Return the grammar of the answers that a specification allows; None if it allows any text.

    Args:
        spec: specification of the answer.
        calls: format of tool calls.
        thinking: delimiters of the thinking; None for no thinking.
        terminal: function that writes a text as a terminal.
        most_thinking: maximum tokens of thinking.
    """
    is_forced = thinking is not None and not thinking.native
    if spec.calls == "none" and spec.schema is None and not is_forced:
        return None
    rules = [_thinking_rules(thinking, terminal, most_thinking) if thinking else "start: body"]
    if spec.calls != "none":
        rules.append(arguments_rules(spec.functions))
    if spec.calls == "auto" and spec.schema is None:
        rules += _free_rules(spec, calls, terminal, _not_thinking(thinking, terminal))
    elif spec.calls == "none" and spec.schema is None:
        rules.append("body: /(?s:.+)/")
    else:
        rules += _fixed_rules(spec, calls, terminal)
    return "\n".join(rules)


def _fixed_rules(spec: AnswerSpec, calls: CallFormat, terminal: TerminalWriter) -> list[str]:
    """Return the rules of an answer that is a document of the schema, calls, or either."""
    rules: list[str] = []
    bodies: list[str] = []
    if spec.schema is not None:
        (document,) = json_rules([spec.schema])
        rules.append(f"document: {document}")
        bodies.append("document")
    if spec.calls != "none":
        rules.append(calls.rules(spec.functions, parallel=spec.parallel, terminal=terminal))
        bodies.append(f"{terminal(calls.trigger)} calls" if calls.trigger else "calls")
    return [*rules, f"body: {' | '.join(bodies)}"]


def _free_rules(spec: AnswerSpec, calls: CallFormat, terminal: TerminalWriter, unlike: str) -> list[str]:
    """Return the rules of an answer of text or calls. A begun call must be completed; no text matches ``unlike``."""
    rules = [untagged_calls(spec.functions, parallel=spec.parallel)]
    unlike = f"{not_untagged(spec.functions)}{unlike}"
    text = f"/(?s:.*)/ & {unlike}"
    trigger = terminal(calls.trigger) if calls.trigger else ""
    if not trigger:
        return [*rules, "body: TEXT | untagged", f"TEXT: {text}"]
    rules.append(calls.rules(spec.functions, parallel=spec.parallel, terminal=terminal))
    if is_token(trigger):
        return [*rules, f"body: TEXT | TEXT? {trigger} calls | untagged", f"TEXT: {text}"]
    pattern = _pattern(calls.trigger)
    return [
        *rules,
        "body: TEXT | text_and_trigger calls | untagged",
        rf"TEXT: {text} & ~/(?s:.*{pattern}.*)/",
        "text_and_trigger[lazy]: TEXT_AND_TRIGGER",
        rf"TEXT_AND_TRIGGER: /(?s:.*){pattern}/ & {unlike}",
    ]


def _not_thinking(thinking: Thinking | None, terminal: TerminalWriter) -> str:
    """Return the condition that text does not begin like thinking, if its delimiter is text and not a token."""
    if thinking is None or thinking.begun or not thinking.native or is_token(terminal(thinking.open)):
        return ""
    return f" & ~/(?s:{SPACE}{_pattern(thinking.open)}.*)/"


def _thinking_rules(thinking: Thinking, terminal: TerminalWriter, most_tokens: int) -> str:
    begin, end = terminal(thinking.open), terminal(thinking.close)
    if is_token(end):
        something = "" if thinking.native else r"\s*\S"
        thought = rf"thought[max_tokens={most_tokens}]: /(?s:{something}.*)/"
        rest = f"thought {end} SPACE body"
    elif thinking.native:
        opening = "" if thinking.begun else f"{SPACE}{_pattern(thinking.open)}"
        thought = rf"thought[lazy]: /(?s:{opening}.*){_pattern(thinking.close)}/"
        begin, rest = "", "thought SPACE body"
    else:
        # Models that were not trained to think may never stop: limit the lines and the tokens of each.
        most = min(_LINE, most_tokens)
        without_end = rf"& ~/(?s:.*{_pattern(thinking.close)}.*)/"
        thought = (
            rf"first_line[max_tokens={most}]: /[ \t]*[^\s][^\n]*\n/ {without_end}"
            "\n"
            rf"line[max_tokens={most}]: /[^\n]*\n/ {without_end}"
        )
        more = -(-most_tokens // most) - 1
        lines = f"first_line line{{0,{more}}}" if more else "first_line"
        rest = rf'"\n" {lines} {characters(thinking.close + _BLANK_LINE)} body'
    space = f"SPACE: /{SPACE}/"
    if thinking.begun:
        return f"start: {rest}\n{thought}\n{space}"
    return f"start: {'body | ' if thinking.native else ''}{begin} {rest}\n{thought}\n{space}"


def _pattern(text: str) -> str:
    return re.escape(text).replace("/", r"\/")


def is_token(terminal: str) -> bool:
    """Return True if a terminal is a control token."""
    return terminal.startswith("<")


def terminal_writer(controls: dict[str, int]) -> TerminalWriter:
    """Return a function that writes texts in ``controls`` as token ids, and others as their characters."""
    return lambda text: f"<[{controls[text]}]>" if text in controls else characters(text)
