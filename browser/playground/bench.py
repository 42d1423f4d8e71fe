"""A playground page: its parts, and the requests that it sends."""

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, expect

from browser.guard import PageGuard

CHAT = "/v1/chat/completions"
_SETTLED = "body:not([data-pending]):not(:has([aria-busy=true]))"
"""Page whose changes are drawn, and whose answers have ended."""


@dataclass
class Bench:
    """Open playground page.

    Attributes:
        page: the page.
        guard: guard with the requests of the page.
    """

    page: Page
    guard: PageGuard

    @property
    def message(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def cards(self) -> Locator:
        return self.page.locator("article.answer")

    @property
    def bodies(self) -> list[Locator]:
        return self.page.locator("article.answer .answer-body").all()

    def texts(self) -> list[str]:
        """Return the texts of the shown answers, when they are whole."""
        self.wait()
        return [(body.text_content() or "").rstrip("\n") for body in self.bodies]

    def send(self, text: str, *, answers: int | None = None) -> None:
        """Send a message and wait for its answers."""
        self.message.fill(text)
        self.message.press("Enter")
        self.wait()
        if answers is not None:
            expect(self.cards).to_have_count(answers)

    def wait(self) -> None:
        """Wait until no answer is running, and the last one is shown."""
        expect(self.page.locator(_SETTLED)).to_have_count(1)
        expect(self.button("Stop")).to_have_count(0)

    def button(self, name: str, *, within: Locator | None = None) -> Locator:
        return (within or self.page).get_by_role("button", name=name, exact=True)

    def panel(self, title: str) -> Locator:
        """Return a panel, opened."""
        panel = self.page.locator("details.panel", has=self.page.get_by_role("heading", name=title, exact=True))
        if panel.get_attribute("open") is None:
            panel.locator("summary").first.click()
        return panel

    def set(self, label: str, value: str) -> None:
        """Fill in a field of the settings."""
        self.page.get_by_label(label, exact=True).fill(value)

    def colour(self) -> None:
        """Colour answers by probability."""
        self.page.get_by_label("Colour by probability").check()

    def new(self, kind: str) -> None:
        """Begin a conversation."""
        self.page.locator("aside.sidebar").get_by_role("button", name=kind, exact=True).click()

    def sent(self, path: str = CHAT) -> list[dict[str, Any]]:
        """Return the bodies of the requests that generate, in their order."""
        sent = [request for request in self.guard.requests if request.url.endswith(path) and request.method == "POST"]
        return [body for request in sent if (body := request.post_data_json) and body.get("max_tokens") != 0]
