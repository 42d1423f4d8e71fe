"""Access control: keys, the Host check, origins of web pages, listen addresses."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.chatting import CHAT, assert_error, assert_has_id, body
from tests.in_process import serving_scripted
from tests.serving import RunningServer, environment, ponant

ORIGIN = "https://app.example.org"
STRANGE_HOST = {"host": "rebound.example.org"}


@pytest.fixture(scope="module")
def keyed_server(tiny_model: Path) -> Iterator[RunningServer]:
    """Server with keys of ASCII and other letters, and one allowed origin."""
    keys = ["first-key", "second-key", "clé-à", "ключ"]
    with serving_scripted(tiny_model, ("tiny",), api_keys=keys, cors_origins=[ORIGIN]) as server:
        yield server


def get_models(server: RunningServer, /, **headers: str | bytes) -> httpx2.Response:
    given = [(name.encode(), value.encode() if isinstance(value, str) else value) for name, value in headers.items()]
    with server.client() as client:
        return client.get("/v1/models", headers=given)


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer first-key",
        "Bearer second-key",
        "bearer first-key",
        "BEARER second-key",
        "Bearer  first-key",
        "Bearer clé-à",
        "Bearer clé-à".encode("latin-1"),
        "Bearer ключ",
    ],
)
def test_each_key_opens_whatever_the_case_of_the_scheme(
    keyed_server: RunningServer, authorization: str | bytes
) -> None:
    assert get_models(keyed_server, authorization=authorization).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        "Bearer first-ke",
        "Bearer first-key2",
        "Bearer First-Key",
        "Bearer first-key,second-key",
        "Bearer first-key second-key",
        "Basic first-key",
        "first-key",
        "Bearer clé".encode(),
        "Bearer ключ".encode("koi8-r"),
        b"Bearer \xff\xfe\x80",
        b"\xe9\xe9 first-key",
    ],
)
def test_anything_but_a_key_gets_401(keyed_server: RunningServer, authorization: str | bytes | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    response = get_models(keyed_server, **headers)
    assert response.status_code == 401
    assert response.json() == {"detail": "Unauthorized"}
    assert response.headers["www-authenticate"] == "Bearer"
    assert_has_id(response)


def test_without_a_key_nothing_of_the_api_is_told(keyed_server: RunningServer) -> None:
    with keyed_server.client() as client:
        answers = [
            client.post(CHAT, json=body()),
            client.post(CHAT, content=b"{"),
            client.get("/v1/models/tiny"),
            client.get("/v1/no/such/path"),
            client.delete("/v1/models"),
        ]
    assert [response.status_code for response in answers] == [401] * len(answers)


def test_health_and_readiness_need_no_key(keyed_server: RunningServer) -> None:
    with keyed_server.client() as client:
        assert client.get("/health").json() == {"status": "ok"}
        ready = client.get("/ready")
    assert ready.status_code == 200
    models = {"tiny": {"state": "ready", "error": None}, "multilingual-e5-small": {"state": "unloaded", "error": None}}
    assert ready.json() == {"status": "ready", "models": models}


def test_any_key_is_taken_where_none_is_configured(tiny_server: RunningServer) -> None:
    for authorization in ("Bearer whatever", "Basic eDp5", b"Bearer \xff"):
        assert get_models(tiny_server, authorization=authorization).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/ready", "/docs", "/openapi.json", "/nowhere"])
@pytest.mark.parametrize(
    "host",
    ["rebound.example.org", "rebound.example.org:80", "localhost.example.org", "notlocalhost", "[::2]", "0.0.0.1", ""],
)
def test_keyless_server_refuses_hosts_that_are_not_this_machine(
    tiny_server: RunningServer, path: str, host: str
) -> None:
    with tiny_server.client() as client:
        response = client.get(path, headers={"host": host})
    assert_error(response, 403, "invalid_host")


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost",
            "localhost:8000",
            "LocalHost",
            "localhost.",
            "ponant.localhost:8000",
            "127.0.0.1",
            "127.0.0.1:1",
        ),
        *("127.0.0.2", "0.0.0.0", "0.0.0.0:8000", "[::1]", "[::1]:80", "[::]", "[::ffff:127.0.0.1]:8000"),
    ],
)
def test_keyless_server_answers_to_the_names_of_this_machine(tiny_server: RunningServer, host: str) -> None:
    assert get_models(tiny_server, host=host).status_code == 200


def test_with_a_key_any_host_will_do(keyed_server: RunningServer) -> None:
    response = get_models(keyed_server, authorization="Bearer first-key", **STRANGE_HOST)
    assert response.status_code == 200


def test_no_auth_opens_the_server_to_every_host_and_address(tiny_model: Path) -> None:
    with serving_scripted(tiny_model, host="0.0.0.0", auth=False) as server:
        assert get_models(server).status_code == 200
        assert get_models(server, **STRANGE_HOST).status_code == 200


def test_address_named_on_loopback_is_answered_to(tiny_model: Path) -> None:
    with serving_scripted(tiny_model, host="127.0.0.2") as server:
        assert get_models(server).status_code == 200
        assert_error(get_models(server, **STRANGE_HOST), 403, "invalid_host")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org"])
def test_listening_beyond_this_machine_without_a_key_is_refused(tiny_model: Path, tmp_path: Path, host: str) -> None:
    result = subprocess.run(
        ponant("serve", "--port", "0", "--host", host, str(tiny_model)),
        capture_output=True,
        check=False,
        text=True,
        env=environment(),
        cwd=tmp_path,
        timeout=60,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("ponant: ")
    assert "--api-key" in line
    assert "--no-auth" in line


def preflight(server: RunningServer, origin: str) -> httpx2.Response:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    with server.client() as client:
        return client.options(CHAT, headers=asked)


def test_web_pages_are_not_let_in_by_default(tiny_server: RunningServer) -> None:
    for response in (get_models(tiny_server, origin=ORIGIN), preflight(tiny_server, ORIGIN)):
        assert not any(name.startswith("access-control-") for name in response.headers)
    assert not preflight(tiny_server, ORIGIN).is_success


def test_pages_of_an_allowed_origin_may_call_with_a_key(keyed_server: RunningServer) -> None:
    asked = preflight(keyed_server, ORIGIN)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    assert_has_id(asked)
    called = get_models(keyed_server, origin=ORIGIN, authorization="Bearer first-key")
    assert called.status_code == 200
    assert called.headers["access-control-allow-origin"] == ORIGIN


def test_pages_of_an_allowed_origin_can_read_why_they_are_refused(keyed_server: RunningServer) -> None:
    refused = get_models(keyed_server, origin=ORIGIN, authorization="Bearer wrong")
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == ORIGIN


def test_pages_of_other_origins_are_not_let_in(keyed_server: RunningServer) -> None:
    other = "https://other.example.org"
    assert "access-control-allow-origin" not in preflight(keyed_server, other).headers
    called = get_models(keyed_server, origin=other, authorization="Bearer first-key")
    assert "access-control-allow-origin" not in called.headers


# Requests of web pages to a server without keys

FOREIGN = {
    "another host": {"origin": "https://evil.example"},
    "another port": {"origin": "http://localhost:3000"},
    "a longer name": {"origin": "http://localhost.evil.example"},
    "a longer port": {"origin": "http://localhost:80001"},
    "this machine by another name": {"origin": "http://127.0.0.1:8000"},
    "a sandboxed page": {"origin": "null"},
    "an upper-case origin": {"origin": "HTTPS://EVIL.EXAMPLE"},
    "two origins": [("origin", "http://localhost:8000"), ("origin", "https://evil.example")],
    "a page that hides its origin": {"sec-fetch-site": "cross-site"},
    "a page that calls itself by our name": {"origin": "http://localhost:8000", "sec-fetch-site": "cross-site"},
    "a sandboxed page of the same site": {"origin": "null", "sec-fetch-site": "same-origin"},
    "another host with a proxy": {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
}
OWN = {
    "no page": {},
    "the same origin": {"origin": "http://localhost:8000"},
    "behind a proxy with TLS": {"origin": "https://localhost:8000", "sec-fetch-site": "same-origin"},
    "in upper case": {"origin": "http://LOCALHOST:8000"},
    "behind a proxy with another port": {"origin": "http://localhost:5173", "sec-fetch-site": "same-origin"},
    "a browser's address bar": {"sec-fetch-site": "none"},
    "an extension": {"origin": "chrome-extension://abc", "sec-fetch-site": "cross-site"},
    "a desktop application": {"origin": "app://obsidian.md", "sec-fetch-site": "cross-site"},
    "an editor": {"origin": "vscode-webview://abc", "sec-fetch-site": "cross-site"},
    "a local page of an application": {"origin": "file://"},
    "a named origin": {"origin": ORIGIN, "sec-fetch-site": "cross-site"},
}
CHANGES = {
    "POST": ["/v1/files", CHAT, f"/openai{CHAT}", "/chat/completions", "/v1/fine_tuning/jobs/x/start", "//v1/files"],
    "PATCH": ["/v1/fine_tuning/models/x"],
    "DELETE": ["/v1/files/x", "/v1/models/x"],
}


@pytest.fixture(scope="module")
def page_server(tiny_model: Path) -> Iterator[RunningServer]:
    """Server without keys that lets the pages of one origin in."""
    with serving_scripted(tiny_model, cors_origins=[ORIGIN]) as server:
        yield server


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_foreign_web_pages_cannot_change_anything(page_server: RunningServer, headers: Any) -> None:
    given = [("host", "localhost:8000"), *(headers if isinstance(headers, list) else headers.items())]
    form = {"file": ("a.jsonl", b'{"messages": []}\n')}
    with page_server.client() as client:
        refused = client.post("/v1/files", files=form, headers=given)
        assert "cors_origins" in assert_error(refused, 403, "invalid_origin")
        assert client.get("/v1/models", headers=given).status_code == 200
        assert client.get("/v1/files").json()["total"] == 0


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, paths in CHANGES.items() for path in paths])
def test_foreign_web_pages_are_refused_on_all_paths(page_server: RunningServer, method: str, path: str) -> None:
    with page_server.client() as client:
        response = client.request(method, path, headers={"origin": "https://evil.example"})
    assert response.status_code == 403


@pytest.mark.parametrize("headers", OWN.values(), ids=OWN)
def test_other_programs_and_own_pages_are_let_in(page_server: RunningServer, headers: dict[str, str]) -> None:
    with page_server.client() as client:
        for host in ("localhost:8000", *([] if "origin" in headers else ["localhost"])):
            response = client.post(CHAT, json=body(), headers={"host": host} | headers)
            assert response.status_code == 200


@pytest.mark.parametrize("origin", ["http://localhost", "https://localhost", "https://localhost:443"])
def test_default_ports_are_equal(page_server: RunningServer, origin: str) -> None:
    with page_server.client() as client:
        for host in ("localhost", "localhost:80", "localhost:443"):
            assert client.post(CHAT, json=body(), headers={"host": host, "origin": origin}).status_code == 200


def test_foreign_pages_are_refused_without_the_host_check_too(tiny_model: Path) -> None:
    with serving_scripted(tiny_model, auth=False) as server, server.client() as client:
        own = client.post(CHAT, json=body(), headers={"host": "a.example:8000", "origin": "https://a.example:8000"})
        foreign = client.post(CHAT, json=body(), headers={"origin": ORIGIN})
    assert own.status_code == 200
    assert_error(foreign, 403, "invalid_origin")


def test_with_a_key_the_origin_does_not_matter(keyed_server: RunningServer) -> None:
    with keyed_server.client(key="first-key") as client:
        response = client.post(CHAT, json=body(), headers={"origin": "https://evil.example"})
    assert response.status_code == 200
