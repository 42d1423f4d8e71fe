"""Streamed Markdown in a terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

_REFRESHES_PER_SECOND = 12


def show_markdown(pieces: Iterable[str], console: Console) -> None:
    """Show an answer while it is received.

    Finished blocks are printed once. The last block is redrawn with every piece, and stays visible after an
    interruption.
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
    """Split a text into its finished blocks and the last one. A code block ends at its closing fence."""
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
