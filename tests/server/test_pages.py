"""Web pages: files, headers, the setting, and the state without their libraries."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from ponant.pages import vendor
from ponant.pages.folders import STATIC
from tests.in_process import ScriptedServer, serving_scripted
from tests.serving import RunningServer

PAGES = ("/", "/playground", "/fine-tuning", "/docs")
KEY = "a-key"


@pytest.fixture(scope="module")
def keyed(tiny_model: Path) -> Iterator[ScriptedServer]:
    """Server with a key, and with a second server in its settings."""
    environments = {"Develop Env": "https://dev.example:8443/api/"}
    with serving_scripted(tiny_model, api_keys=[KEY], environments=environments) as server:
        yield server


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folder in place of that of the libraries."""
    folder = tmp_path / "vendor"
    monkeypatch.setattr("ponant.server.routes.pages._FOLDERS", {"static": STATIC, "vendor": folder})
    monkeypatch.setattr("ponant.server.routes.pages.missing_files", lambda: vendor.missing_files(folder))
    return folder


def fill(folder: Path) -> None:
    """Write a file for each of the libraries."""
    for path in vendor.missing_files(folder):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("export {};")


def referred(page: str) -> list[str]:
    """Return the addresses in the HTML of a page."""
    return re.findall(r'(?:src|href)="([^"]+)"', page)


def policy(response: httpx2.Response) -> dict[str, str]:
    """Return the directives of a response's Content-Security-Policy."""
    parts = response.headers["content-security-policy"].split("; ")
    return {name: sources for name, _, sources in (part.partition(" ") for part in parts)}


@pytest.mark.parametrize("path", PAGES)
def test_page_loads_without_a_key_and_from_this_server_alone(keyed: ScriptedServer, libraries: Path, path: str) -> None:
    fill(libraries)
    with keyed.client() as client:
        page = client.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"(?:https?:)?//[\w.-]+\.\w+|<style|style=|<script>|\son\w+=", page.text)
        for address in referred(page.text):
            file = client.get(address)
            assert file.status_code == 200, address
            assert file.headers["x-content-type-options"] == "nosniff"
        sent = policy(page)
        assert sent["default-src"] == "'self'"
        assert sent["connect-src"] == "'self' https://dev.example:8443"
        assert sent["frame-ancestors"] == sent["object-src"] == sent["base-uri"] == sent["form-action"] == "'none'"
        assert "unsafe" not in re.sub("'unsafe-inline'", "", page.headers["content-security-policy"])
        assert ("'unsafe-inline'" in sent["style-src"]) == (path == "/docs")
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == page.headers["content-length"]


def test_pages_learn_about_the_server(keyed: ScriptedServer) -> None:
    with keyed.client() as client:
        facts = client.get("/pages/server.json").json()
    assert facts.pop("version")
    assert facts == {"keys": True, "environments": {"Develop Env": "https://dev.example:8443/api"}}


def test_files_are_asked_for_again_only_when_they_changed(tiny_server: RunningServer) -> None:
    with tiny_server.client() as client:
        first = client.get("/pages/static/lib/api.js")
        assert first.headers["content-type"].startswith("text/javascript")
        assert first.headers["cache-control"] == "no-cache"
        again = client.get("/pages/static/lib/api.js", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    "path",
    [
        "/pages/static/../vendor.py",
        "/pages/static/%2e%2e/vendor.py",
        "/pages/static/..%2f..%2f_version.py",
        "/pages/static/..%2fvendor.json",
        "/pages/static//etc/hostname.txt",
        "/pages/static/lib",
        "/pages/static/",
        "/pages/static/nothing.js",
        "/pages/static/%00.js",
        "/pages/other/base.css",
        "/pages/vendor/nothing.js",
    ],
)
def test_only_files_of_the_pages_are_served(tiny_server: RunningServer, path: str) -> None:
    with tiny_server.client() as client:
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", PAGES)
def test_missing_libraries_are_explained(tiny_server: RunningServer, libraries: Path, path: str) -> None:
    with tiny_server.client() as client:
        page = client.get(path)
        assert page.status_code == 200
        assert "make pages" in page.text
        assert "python -m ponant.pages.vendor" in page.text
        assert client.get("/v1/models").status_code == 200
        fill(libraries)
        assert "make pages" not in client.get(path).text


def test_pages_can_be_turned_off(tiny_model: Path) -> None:
    with serving_scripted(tiny_model, pages=False) as server, server.client() as client:
        for path in (*PAGES, "/pages/static/base.css", "/pages/vendor/htm-preact.js", "/pages/server.json"):
            assert client.get(path).status_code == 404, path
        assert client.post("/pages/code", json={}).status_code == 404
        assert client.get("/openapi.json").status_code == 200
        assert client.get("/health").status_code == 200


def test_libraries_have_exact_versions_hashes_and_licences() -> None:
    libraries = [*vendor.libraries(), *vendor.libraries("tests")]
    assert len(libraries) > 5
    for library in libraries:
        assert re.fullmatch(r"\d+\.\d+\.\d+", library.version)
        assert re.fullmatch(r"sha512-[\w+/]{86}==", library.integrity)
        assert library.licence
    shipped, tests_only = (
        {path for library in vendor.libraries(group) for path in library.files.values()} for group in ("pages", "tests")
    )
    assert not shipped & tests_only
