"""Answers in a terminal: Markdown that grows, block by block."""

from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

_REFRESHES_PER_SECOND = 12


def show_markdown(pieces: Iterable[str], console: Console) -> None:
    """Show an answer as it comes.

    What can no longer change is printed for good; the block that is being written is drawn again and again. After an
    interruption what has come is left to be read.
    """
    block = ""
    with Live(console=console, refresh_per_second=_REFRESHES_PER_SECOND, transient=True) as live:
        try:
            for piece in pieces:
                finished, block = split_blocks(block + piece)
                if finished:
                    live.console.print(Markdown(finished))
                live.update(Markdown(block))
        finally:
            live.update("")
            if block.strip():
                live.console.print(Markdown(block))


def split_blocks(text: str) -> tuple[str, str]:
    """The finished blocks of a text, and the one that is being written. Code is one block up to its fence."""
    end = position = 0
    fence = ""
    for line in text.splitlines(keepends=True):
        position += len(line)
        stripped = line.strip()
        if fence:
            fence = "" if stripped.startswith(fence) else fence
        elif stripped.startswith(("```", "~~~")):
            fence = stripped[:3]
        elif not stripped and line.endswith("\n"):
            end = position
    return text[:end], text[end:]
