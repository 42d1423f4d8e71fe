"""The frame of all pages: navigation, key, colours, and what a page may load."""

import re

import pytest
from playwright.sync_api import expect

from browser.conftest import KEY, OTHER_MACHINE, OpenPage
from browser.guard import PageGuard
from browser.looks import accessibility_faults, overflow, screenshot
from tests.in_process import ScriptedServer
from tests.serving import RunningServer

PAGES = {"/": "Status", "/playground": "Playground", "/fine-tuning": "Fine-tuning", "/docs": "Reference"}
OWN = [path for path in PAGES if path != "/docs"]


@pytest.mark.parametrize("path", PAGES)
def test_page_is_in_the_navigation(scripted: ScriptedServer, open_page: OpenPage, path: str) -> None:
    page = open_page(scripted)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=PAGES[path]).click()
    page.wait_for_url(f"**{path}")
    current = page.locator("nav[aria-label=Pages] [aria-current=page]")
    expect(current).to_have_text(PAGES[path])


@pytest.mark.parametrize("path", OWN)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_page_is_accessible_and_fits(
    scripted: ScriptedServer, open_page: OpenPage, path: str, dark: bool, width: int
) -> None:
    page = open_page(scripted, path, dark=dark, width=width)
    expect(page.get_by_role("link", name="Ponant")).to_be_visible()
    screenshot(page, f"{path.strip('/') or 'status'}-{width}-{'dark' if dark else 'light'}")
    assert accessibility_faults(page) == []
    assert overflow(page) == 0


def test_key_is_kept_in_the_tab_alone(keyed: ScriptedServer, open_page: OpenPage, guard: PageGuard) -> None:
    page = open_page(keyed, "/playground")
    page.get_by_role("button", name="Enter key").click()
    page.get_by_label("One of the server's keys", exact=True).fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Key ✓")).to_be_visible()
    page.goto("/fine-tuning")
    expect(page.get_by_role("button", name="Key ✓")).to_be_visible()
    assert page.evaluate("Object.values(sessionStorage)") == [KEY]
    assert KEY not in page.evaluate("JSON.stringify(localStorage) + document.cookie")
    assert not [request.url for request in guard.requests if KEY in request.url]


def test_colours_follow_the_system_until_chosen(scripted: ScriptedServer, open_page: OpenPage) -> None:
    page = open_page(scripted, "/fine-tuning", dark=True)
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    button = page.get_by_role("button", name="Colours")
    button.click()
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == light
    button.click()
    button.click()
    assert page.evaluate(background) == dark
    assert page.evaluate("localStorage.getItem('ponant-theme')") == "auto"


def test_reference_follows_the_colours_of_the_page(scripted: ScriptedServer, open_page: OpenPage) -> None:
    page = open_page(scripted, "/docs", dark=True)
    expect(page.locator("body")).to_have_class(re.compile("dark-mode"))
    page.get_by_role("button", name="Colours").click()
    expect(page.locator("body")).to_have_class(re.compile("light-mode"))


@pytest.mark.parametrize("path", PAGES)
def test_page_of_another_machine_without_tls(keyed: ScriptedServer, open_page: OpenPage, path: str) -> None:
    other = RunningServer(keyed.url.replace("127.0.0.1", OTHER_MACHINE))
    page = open_page(other, path)
    expect(page.get_by_role("button", name="Enter key")).to_be_visible()
    assert page.evaluate("isSecureContext") is False
    assert page.evaluate("import('/pages/static/lib/ui.js').then((ui) => ui.copyText('copied'))") is True


def test_frame_is_used_by_keyboard(keyed: ScriptedServer, open_page: OpenPage) -> None:
    page = open_page(keyed, "/fine-tuning")
    expect(page.get_by_role("button", name="Enter key")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    page.get_by_role("button", name="Enter key").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="One of the server's keys")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Enter key")).to_be_focused()
