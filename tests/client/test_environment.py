"""Proxies and TLS settings of the environment: used for other machines, never for this one."""

import json
import socket
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ponant import Mistral, models
from ponant.transports.proxies import EnvironmentProxies, clear_text_proxy
from tests.client.misbehaving import ANSWER, DONE, event, misbehaving, respond, stream
from tests.client.test_misbehaving import FINISHED, REQUEST
from tests.client.ways import Way

NOBODY = "127.0.0.1:9"
BAD: dict[str, tuple[dict[str, str], str, str]] = {
    "an unknown kind of proxy": ({"ALL_PROXY": f"socks://{NOBODY}"}, "http", "ALL_PROXY"),
    "SOCKS without its package": ({"HTTPS_PROXY": f"socks5://{NOBODY}"}, "https", "socksio"),
    "another protocol": ({"HTTP_PROXY": "ftp://x"}, "http", "HTTP_PROXY"),
    "no port": ({"http_proxy": "http://x:port"}, "http", "http_proxy"),
    "a port out of range": ({"http_proxy": "http://x:99999"}, "http", "http_proxy"),
    "no host": ({"HTTP_PROXY": "http://"}, "http", "HTTP_PROXY"),
    "a proxy that is down": ({"HTTP_PROXY": f"http://user:secret@{NOBODY}"}, "http", f"user:***@{NOBODY} (HTTP_PROXY)"),
    "no file of certificates": ({"SSL_CERT_FILE": "/nowhere.pem"}, "https", "SSL_CERT_FILE=/nowhere.pem"),
    "certificates that are none": ({"SSL_CERT_FILE": __file__}, "https", "SSL_CERT_FILE"),
    "no file for keys": ({"SSLKEYLOGFILE": "/nowhere/keys"}, "https", "SSLKEYLOGFILE"),
    "no certificates for the proxy": (
        {"HTTP_PROXY": f"https://{NOBODY}", "SSL_CERT_FILE": "/nowhere.pem"},
        "http",
        "SSL_CERT_FILE=/nowhere.pem",
    ),
}
HERE = ["127.0.0.1", "127.0.0.2", "127.1", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"]
HERE += ["localhost", "LOCALHOST.", "ponant.localhost", socket.gethostname()]
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(params=["sync", "async"], scope="module")
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "async")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("case", BAD)
def test_settings_for_other_machines_do_not_matter_for_this_one(
    monkeypatch: pytest.MonkeyPatch, asynchronous: bool, case: str, tmp_path: Path
) -> None:
    set_all(monkeypatch, BAD[case][0])
    file = tmp_path / "data.jsonl"
    file.write_bytes(b"{}\n")
    uploaded = {"id": "f", "object": "file", "bytes": 3, "created_at": 1, "filename": "data.jsonl"}
    behaviours = [
        respond(200, ANSWER),
        stream(event(), FINISHED, DONE),
        respond(200, uploaded | {"purpose": "fine-tune", "sample_type": "instruct", "source": "upload"}),
        respond(200, b"{}\n", kind="application/octet-stream"),
    ]
    with misbehaving(*behaviours) as server, Mistral(server_url=server.url) as mistral:
        way = Way(mistral, asynchronous=asynchronous, in_process=False)
        assert way.call("chat.complete", **REQUEST).id == "cmpl-1"
        assert len(way.call("chat.stream", **REQUEST)) == 2
        assert way.call("files.upload", file=file).id == "f"
        assert way.call("files.download", file_id="f").content == b"{}\n"


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("operation", ["chat.complete", "chat.stream"])
def test_bad_settings_are_errors_of_the_client_that_name_them(
    monkeypatch: pytest.MonkeyPatch, asynchronous: bool, case: str, operation: str
) -> None:
    variables, scheme, said = BAD[case]
    set_all(monkeypatch, variables)
    way = Way(Mistral(server_url=f"{scheme}://192.0.2.1"), asynchronous=asynchronous, in_process=False)
    with pytest.raises(models.ConnectError) as caught:
        way.call(operation, **REQUEST)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", HERE)
def test_this_machine_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://{NOBODY}")
    assert EnvironmentProxies().proxy_for(httpx2.URL(f"http://{host}:8000")) is None


@pytest.mark.parametrize(
    ("exclusions", "url", "is_direct"),
    [
        ("", "http://far.example", False),
        ("*", "http://far.example", True),
        ("far.example", "http://far.example", True),
        ("far.example", "http://a.far.example:80", True),
        ("far.example", "http://notfar.example", False),
        ("other, .far.example", "http://a.far.example", True),
        ("*.far.example", "http://a.far.example", True),
        ("far.example:8000", "http://far.example:8000", True),
        ("far.example:8000", "http://far.example", False),
        ("far.example:80", "http://far.example", True),
        ("https://far.example", "http://far.example", False),
        ("192.0.2.0/24", "http://192.0.2.7:8000", True),
        ("192.0.2.0/24", "http://192.0.3.7:8000", False),
        ("2001:db8::/32", "http://[2001:db8::7]:8000", True),
        ("[2001:db8::7]", "http://[2001:db8::7]:8000", True),
        (",://,[,/", "http://far.example", False),
    ],
)
def test_no_proxy_lists_what_is_reached_directly(
    monkeypatch: pytest.MonkeyPatch, exclusions: str, url: str, is_direct: bool
) -> None:
    set_all(monkeypatch, {"HTTP_PROXY": NOBODY, "NO_PROXY": exclusions})
    assert (EnvironmentProxies().proxy_for(httpx2.URL(url)) is None) == is_direct
    assert (clear_text_proxy(url) is None) == is_direct


def test_other_machines_are_reached_through_the_proxy(monkeypatch: pytest.MonkeyPatch, asynchronous: bool) -> None:
    with misbehaving(respond(200, ANSWER)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        mistral = Mistral(server_url="http://far.example")
        way = Way(mistral, asynchronous=asynchronous, in_process=False)
        assert way.call("chat.complete", **REQUEST).id == "cmpl-1"
        mistral.close()
    request, _, body = proxy.requests[0].partition(b"\r\n\r\n")
    assert request.startswith(b"POST http://far.example/v1/chat/completions ")
    assert json.loads(body)["model"] == "m"


def test_a_redirect_to_this_machine_leaves_the_proxy(monkeypatch: pytest.MonkeyPatch, asynchronous: bool) -> None:
    answer: dict[str, Any] = ANSWER
    with misbehaving(respond(200, answer)) as here, misbehaving(respond(307, location=here.url)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        mistral = Mistral(server_url="http://far.example")
        way = Way(mistral, asynchronous=asynchronous, in_process=False)
        assert way.call("chat.complete", **REQUEST).id == "cmpl-1"
        mistral.close()
