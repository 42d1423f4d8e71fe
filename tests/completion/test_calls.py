"""Tool calls in streams: held back until they are complete."""

import itertools

import hypothesis
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from ponant.completion.calls import CallHolder, CallStyle
from ponant.completion.parts import Arguments, CallBegun, Part, Text
from tests.soak import examples

ANSWER: list[list[Part]] = [
    [Text("a")],
    [CallBegun(0, "f")],
    [Arguments(0, "{")],
    [Arguments(0, "}"), CallBegun(1, "g")],
    [],
    [Arguments(1, "{}")],
]
FIRST: list[Part] = [CallBegun(0, "f"), Arguments(0, "{"), Arguments(0, "}")]
SECOND: list[Part] = [CallBegun(1, "g"), Arguments(1, "{}")]


def pushed(style: CallStyle, updates: list[list[Part]]) -> list[list[Part] | None]:
    """Return the calls sent for each update."""
    holder = CallHolder(style)
    return [holder.push(parts, is_end=index == len(updates) - 1) for index, parts in enumerate(updates)]


@pytest.mark.parametrize(
    ("style", "sent"),
    [
        ("pieces", [*ANSWER[:4], None, *ANSWER[5:]]),
        ("whole", [[Text("a")], None, None, None, None, [*FIRST, *SECOND]]),
    ],
)
def test_calls_are_sent_in_their_style(style: CallStyle, sent: list[list[Part] | None]) -> None:
    assert pushed(style, ANSWER) == sent


@pytest.mark.parametrize("style", ["pieces", "whole"])
def test_end_is_always_sent(style: CallStyle) -> None:
    assert pushed(style, [[]]) == [[]]
    assert pushed(style, [FIRST[:2], []])[-1] == ([] if style == "pieces" else FIRST[:2])


@settings(deadline=None, max_examples=examples(100), derandomize=True)
@hypothesis.given(cuts=st.lists(st.integers(0, 7), max_size=5))
def test_no_call_is_in_two_pieces(cuts: list[int]) -> None:
    parts: list[Part] = [Text("a"), *FIRST, *SECOND]
    places = [0, *sorted(min(cut, len(parts)) for cut in cuts), len(parts)]
    updates = [parts[start:end] for start, end in itertools.pairwise(places)]
    sent = [shown for shown in pushed("whole", updates) if shown]
    assert [part for shown in sent for part in shown] == parts
    for call in (FIRST, SECOND):
        assert any(all(part in shown for part in call) for shown in sent)
