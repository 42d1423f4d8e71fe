"""The grammar of an answer, in llguidance's dialect of Lark."""

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
"""The most tokens of a line of thinking."""


def answer_grammar(
    spec: AnswerSpec, calls: CallFormat, thinking: Thinking | None, *, terminal: TerminalWriter, most_thinking: int
) -> str | None:
    """The grammar that answers of this form obey; None where anything goes.

    Args:
        spec: what the request asks for.
        calls: how calls are written.
        thinking: what stands around the thinking, if there is to be any.
        terminal: names what may be a control token.
        most_thinking: the most tokens of thinking.
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
    """A document that satisfies a schema, calls, or one of both."""
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
    """Text or calls, as the model likes; where a call has begun, it must be one. No text is ``unlike`` something."""
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
    """What keeps a text from beginning like thinking, where its mark is text too."""
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
        # Models that were not trained for it may never end their thoughts: so many lines of so many tokens are enough.
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
    """Whether a grammar names a text as a control token."""
    return terminal.startswith("<")


def terminal_writer(controls: dict[str, int]) -> TerminalWriter:
    """Names the control tokens of a vocabulary, given their ids, by these."""
    return lambda text: f"<[{controls[text]}]>" if text in controls else characters(text)
