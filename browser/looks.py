"""Checks and pictures of a page's looks: accessibility by axe, overflow, screenshots."""

from pathlib import Path

from playwright.sync_api import Page

SCREENSHOTS = Path(__file__).with_name("screenshots")
_AXE = Path(__file__).with_name("vendor") / "axe.js"
_RULES = "axe.run({resultTypes: ['violations']})"


def accessibility_faults(page: Page) -> list[str]:
    """Return the violations that axe finds, one line for each element."""
    assert _AXE.is_file(), "run `make browser`, which fetches axe"
    page.evaluate(_AXE.read_text())
    result = page.evaluate(_RULES)
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]} ({node['failureSummary']})"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]


def overflow(page: Page) -> int:
    """Return the pixels by which a page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


def screenshot(page: Page, name: str) -> Path:
    """Write a picture of the page, without running animations, to ``screenshots/NAME.png``."""
    SCREENSHOTS.mkdir(exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    return path
