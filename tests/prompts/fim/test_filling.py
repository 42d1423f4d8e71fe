"""Fillings extracted from answers: without fences and repetitions, independent of the pieces of the answer."""

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ponant.prompts.answer.output_format import TextFilter
from ponant.prompts.fim.filling import FillReader, SuffixReader
from tests.soak import examples

DEF = "def add(a, b):\n"
INDENTED = DEF + "    "
RETURN = "    return result\n"
TAIL = "    first_call()\n    second_call()\n"


def read(reader: TextFilter, pieces: Iterable[str]) -> str:
    return "".join([*map(reader.push, pieces), reader.finish()])


def filling(answer: str, prompt: str = "x = ", suffix: str = "\n", begun: str = "") -> str:
    return read(FillReader(prompt, suffix, begun=begun), [answer])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("y", "y"),
        ("", ""),
        ("\n\n  y\n", "\n\n  y\n"),
        ("```python\ny\n```", "y"),
        ("```\ny\n```\n", "y"),
        ("\n\n```c++ title=x\ny\n```\nThis is because", "y"),
        ("````\ny\n```\nz\n````\n", "y\n```\nz"),
        ("```\ny\n`````  \n", "y"),
        ("```\ny\n  ```", "y"),
        ("```\n```", ""),
        ("```\ny", "y"),
        ("```\ny\n``", "y\n``"),
        ("```\ny\n```z\n```", "y\n```z"),
        ("```\n\ny\n\n```", "\ny\n"),
        ("```pyth", ""),
        ("``", "``"),
        ("``\n", "``\n"),
        ("```y```", "```y```"),
        ("y\n```\nz\n```", "y\n```\nz\n```"),
    ],
)
def test_fence_around_the_answer_is_left_out(answer: str, expected: str) -> None:
    assert filling(answer) == expected


@pytest.mark.parametrize(
    ("begun", "answer", "expected"),
    [
        ("```\n", "y\n```", "y"),
        ("```\n", "```", ""),
        ("```\n", "```\nThat is all.", ""),
        ("```\nx =", " y\n```\nDone", "y"),
        ("```\nx =", "```", "```"),
        ("````\n", "y\n```\n````", "y\n```"),
    ],
)
def test_fence_that_was_put_before_the_answer_is_closed(begun: str, answer: str, expected: str) -> None:
    assert filling(answer, begun=begun) == expected


@pytest.mark.parametrize(
    ("prompt", "suffix", "expected"),
    [
        (DEF, "    return c\n", "    c = a + b\n"),
        (INDENTED, "print(c)\n", "c = a + b\n"),
        (DEF, "\n    return c\n", "    c = a + b"),
        (DEF, " \t\n    return c\n", "    c = a + b"),
        ("c = (\nd", ")", "    c = a + b"),
        ("", "return c", "    c = a + b\n"),
    ],
)
def test_newline_before_the_closing_fence_stays_between_whole_lines(prompt: str, suffix: str, expected: str) -> None:
    assert filling("```\n    c = a + b\n```", prompt, suffix) == expected


@pytest.mark.parametrize(
    ("prompt", "answer", "expected"),
    [
        ("total = 1 + ", "total = 1 + 2", "2"),
        ("total = 1 + ", "total = 1 +2", "2"),
        ("    total = 1 + ", "total = 1 + 2", "2"),
        ("    total = 1 + ", "    total = 1 + 2", "2"),
        ("total = ", "totals = 2", "totals = 2"),
        ("tot", "tot", "tot"),
        ("total", "total", ""),
        ("total", "totals", "s"),
        (DEF, "def add(a, b):\n    pass", "    pass"),
        (DEF, "\ndef add(a, b):\n    pass", "    pass"),
        (DEF, "def add(a, b): pass", "def add(a, b): pass"),
        (DEF, "def add(a, b):", ""),
        (INDENTED, "def add(a, b):\n    pass", "pass"),
        (INDENTED, "def add(a, b):\n  pass", "pass"),
        (INDENTED, "def add(a, b):\n        pass", "    pass"),
        (DEF + "\n\n", "def add(a, b):\n    pass", "    pass"),
        ("import math\n\n" + DEF, "import math\n\ndef add(a, b):\n    pass", "    pass"),
        ("import math\n\n" + DEF, "import math\nimport re", "import math\nimport re"),
        ("lines\n" * 3, "lines\nlines\nlines\nlines\n", "lines\n"),
        ("}\n", "}\n", "}\n"),
        ("# a very long line" * 1000, "# a very long line", "# a very long line"),
    ],
)
def test_last_lines_of_the_prompt_are_left_out_at_the_beginning(prompt: str, answer: str, expected: str) -> None:
    assert filling(answer, prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "answer", "expected"),
    [
        (INDENTED, "    pass", "pass"),
        (INDENTED, "        pass", "    pass"),
        (INDENTED, "  pass", "pass"),
        (INDENTED, "pass", "pass"),
        (INDENTED, "\n    pass", "\n    pass"),
        (INDENTED, "\tpass", "\tpass"),
        (INDENTED, "   ", ""),
        (DEF, "    pass", "    pass"),
        ("x = ", " y", "y"),
        ("x =", " y", " y"),
    ],
)
def test_space_at_the_end_of_the_prompt_is_left_out_at_the_beginning(prompt: str, answer: str, expected: str) -> None:
    assert filling(answer, prompt) == expected


@pytest.mark.parametrize(
    ("suffix", "answer", "expected"),
    [
        ("\n" + RETURN, "1\n    return result\n", "1"),
        ("\n" + RETURN, "1\n    return result", "1"),
        ("\n" + RETURN, "1\n    return", "1"),
        ("\n" + RETURN, "1\n    ret", "1\n    ret"),
        ("\n" + RETURN, "1\n        return result\n", "1\n        return result\n"),
        ("\n" + RETURN, "1\n    return results\n", "1\n    return results\n"),
        ("\n\n\n" + RETURN, "1\n\n    return result\n", "1"),
        ("\n" + RETURN, "1\n\n    return result\n", "1\n"),
        (RETURN, "1\n    return result\n", "1\n"),
        (RETURN, "    return result\n", ""),
        (RETURN, "return result\n", ""),
        ("\nreturn c", "1\nreturn c\n", "1"),
        ("data, other)\n", "1, data, other)\n", "1, "),
        (" + other * 2", "1 + other * 2", "1"),
        (")\n", "1)", "1)"),
        ("\n}\n", "1\n}\n", "1\n}\n"),
        ("\n\n", "1\n\n", "1\n\n"),
        ("\n}\n}\n    return result\n", "1\n}\n}\n    return result\n", "1"),
    ],
)
def test_beginning_of_the_suffix_is_left_out_at_the_end(suffix: str, answer: str, expected: str) -> None:
    assert filling(answer, suffix=suffix) == expected


@pytest.mark.parametrize(
    ("prompt", "suffix", "answer", "expected"),
    [
        (DEF, "\n" + TAIL, "1\n" + TAIL + "more", "1"),
        (DEF, "\n\n" + TAIL, "1\n" + TAIL + "more", "1"),
        (DEF, TAIL, "1\n" + TAIL + "more", "1\n"),
        (DEF, TAIL, TAIL + "more", ""),
        (DEF, "\n" + TAIL, "1\n  " + TAIL + "more", "1\n  " + TAIL + "more"),
        (DEF, "\n" + RETURN, "1\n    return result\nmore", "1\n    return result\nmore"),
        (DEF, "\n" + RETURN + "\n\n", "1\n    return result\n\nmore", "1\n    return result\n\nmore"),
        (DEF, "\n}\n}\n" + TAIL, "1\n}\n}\n}\n", "1\n}\n}\n}\n"),
        (DEF, "\n}\n}\n" + TAIL, "1\n}\n}\n" + TAIL + "more", "1"),
        (DEF, ")\n" + RETURN + "more", "1)\n    return result\nmore", "1"),
        (DEF, "\n" + "a" * 1000, "1\n" + "a" * 500 + "b", "1"),
        (DEF + TAIL, TAIL, "1\n" + TAIL + "more", "1\n" + TAIL + "more"),
        (DEF + TAIL, TAIL, "1\n" + TAIL, "1\n" + TAIL),
        (DEF + TAIL, TAIL + "end()\n", "1\n" + TAIL + "end()\nmore", "1\n"),
    ],
)
def test_first_lines_of_the_suffix_end_the_filling(prompt: str, suffix: str, answer: str, expected: str) -> None:
    reader = SuffixReader(prompt, suffix)
    assert read(reader, [answer]) == expected
    assert reader.finished == (expected != answer)
    assert filling(answer, prompt, suffix) == expected


def test_all_is_left_out_together() -> None:
    answer = f"```python\n{DEF}    result = a + b\n{RETURN}```\nThis function adds."
    assert filling(answer, INDENTED, "\n" + RETURN) == "result = a + b"


def test_text_is_shown_as_soon_as_it_can_be_no_repetition() -> None:
    reader = FillReader(INDENTED, "\n" + RETURN, begun="```\n")
    assert reader.push("    resu") == "resu"
    assert reader.push("lt = a") == "lt = a"
    assert reader.push("\n   ") == ""
    assert reader.push(" return") == ""
    assert not reader.finished
    assert reader.push(" a") == "\n    return a"
    assert reader.push("\n``") == ""
    assert reader.push("`\n") == ""
    assert reader.finished
    assert reader.push("more") == reader.finish() == ""


def test_reader_has_finished_once_the_suffix_is_reached() -> None:
    reader = FillReader("x = ", "\n" + TAIL)
    assert reader.push("1\n    first_call()\n    second_call()") == "1"
    assert not reader.finished
    assert reader.push("\n") == ""
    assert reader.finished
    assert reader.push("more") == reader.finish() == ""


fragments = st.lists(
    st.sampled_from(
        ["```", "`", "\n", "\n\n", " ", "    ", "\t", "return result", "return", "def add(a):", "x", ")", "python", "é"]
    ),
    max_size=10,
).map("".join)


@settings(deadline=None, max_examples=examples(300))
@given(
    prompt=fragments,
    suffix=fragments,
    answer=st.one_of(fragments, st.tuples(fragments, fragments, fragments)),
    begun=st.sampled_from(["", "```\n", "```\nx =", "````\n"]),
    cuts=st.lists(st.integers(0, 80)),
)
@example(prompt="x", suffix="\n\n    return result\n", answer="1\n\n    return result\n", begun="", cuts=[3, 4, 9])
@example(prompt="x", suffix="return", answer="a\nreturn result \n", begun="", cuts=[8])
def test_same_filling_however_the_answer_is_cut(
    prompt: str, suffix: str, answer: str | tuple[str, str, str], begun: str, cuts: list[int]
) -> None:
    if not isinstance(answer, str):
        before, middle, after = answer
        answer = f"{before}{prompt[-20:]}{middle}{suffix}{after}"
    whole = filling(answer, prompt, suffix, begun)
    assert whole in answer
    assert read(FillReader(prompt, suffix, begun=begun), answer) == whole
    ends = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    pieces = [answer[start:end] for start, end in pairwise(ends)]
    assert read(FillReader(prompt, suffix, begun=begun), pieces) == whole


@settings(deadline=None, max_examples=examples(100))
@given(prompt=fragments, suffix=fragments, answer=st.text("abc \n()", max_size=30))
def test_answer_without_fence_and_repetition_is_the_filling(prompt: str, suffix: str, answer: str) -> None:
    space = re.search(r"[ \t]*\Z", prompt)
    assert space
    shown = filling(answer, prompt, suffix)
    assert answer.endswith(shown)
    assert answer.removesuffix(shown) in space[0]
