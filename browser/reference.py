"""Reference page in a browser: its operations, and the form that sends a request."""

import re
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.serving import RunningServer

_STILL = """() => new Promise((resolve) => {
  let before = "", same = 0;
  const look = () => {
    const now = `${scrollY} ${document.documentElement.scrollHeight}`;
    same = now === before ? same + 1 : 0;
    before = now;
    if (same >= 10) resolve(); else requestAnimationFrame(look);
  };
  look();
})"""


@dataclass(frozen=True)
class Operation:
    """Operation of a document.

    Attributes:
        document: beginning of its addresses in the page.
        tag: name of its tag.
        id: its ``operationId``.
        title: its summary.
        path: its method and its path.
    """

    document: str
    tag: str
    id: str
    title: str
    path: str

    @property
    def address(self) -> str:
        """Address of the operation in the page."""
        return f"/docs#{self.document}/tag/{self.tag}/{self.id}"


def operations(server: RunningServer, document: str = "mistral", path: str = "/openapi.json") -> list[Operation]:
    """Return the operations of a document in their order."""
    with server.client() as client:
        described: dict[str, Any] = client.get(path).json()
    return [
        Operation(document, operation["tags"][0], operation["operationId"], operation["summary"], f"{method} {path}")
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def operation_at(server: RunningServer, path: str) -> Operation:
    """Return an operation of the Mistral API by its method and path, such as ``post /v1/files``."""
    return next(operation for operation in operations(server) if operation.path == path)


def section(page: Page, operation: Operation) -> Locator:
    """Return the part of the page that describes an operation."""
    return page.locator(f'[id="{operation.address.partition("#")[2]}"]')


def settle(page: Page) -> None:
    """Wait until the page has kept its height and its place for ten frames: the library draws parts when needed."""
    page.evaluate(_STILL)


class RequestForm:
    """Form of an operation, opened by its button."""

    def __init__(self, page: Page, operation: Operation) -> None:
        self._page = page
        section(page, operation).get_by_role("button", name="Try It!").click()
        self.dialog = page.get_by_role("dialog", name="API Client")
        self.response = self.dialog.get_by_role("region", name="Response")

    def write_body(self, text: str) -> None:
        """Replace the body."""
        self.dialog.locator(".cm-content").first.click()
        self._page.keyboard.press("Control+A")
        self._page.keyboard.insert_text(text)

    def write_key(self, key: str) -> None:
        """Fill in the credentials."""
        self.dialog.get_by_label("Bearer Token").fill(key)

    def file_button(self, field: str) -> Locator:
        """Return the button that chooses a file for a field of a form."""
        row = self.dialog.locator("tr").filter(has_text=re.compile(rf"^\s*{field}"))
        return row.get_by_role("button", name="Select File")

    def send(self) -> None:
        """Send the request."""
        self.dialog.get_by_role("button", name="Send", exact=False).first.click()

    def close(self) -> None:
        """Close the form."""
        self.dialog.get_by_role("button", name="Close Client").click()

    def expect_status(self, status: str) -> None:
        """Wait for the status of the answer, such as ``200 OK``."""
        expect(self.response.get_by_text(status)).to_be_visible()
