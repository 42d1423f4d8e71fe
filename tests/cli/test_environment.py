"""Commands with proxies in the environment: servers here are found, and no key reaches a proxy in clear text."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ponant.cli.main import main
from tests.client.misbehaving import misbehaving, respond
from tests.serving import RunningServer

KEY = "my-secret-key"
FAR = "http://far.example:8000"
PROXIED = {
    "models": ["models"],
    "chat": ["chat", "Hello"],
    "complete-code": ["complete-code", "{file}:1"],
    "finetune": ["finetune", "{file}", "--dry-run"],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("{}\n")
    return path


def ponant(*arguments: str, data: Path, **variables: str | None) -> Result:
    """Run a command in this process."""
    clean = {name: None for name in os.environ if name.startswith("PONANT_") or name.lower().endswith("_proxy")}
    given = {"PONANT_DATA_DIR": str(data), "PONANT_API_KEY": KEY, "HF_HUB_OFFLINE": ""}
    return CliRunner(env=clean | given | variables).invoke(main, arguments)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_servers_on_this_machine_are_asked_without_a_proxy(
    host: str, tiny_server: RunningServer, tmp_path: Path
) -> None:
    url = tiny_server.url.replace("127.0.0.1", host) + "/v1/"
    bad = {"HTTP_PROXY": "ftp://x", "ALL_PROXY": "socks://x", "SSL_CERT_FILE": "/nowhere.pem"}
    with misbehaving(respond(502)) as proxy:
        for variables in ({"http_proxy": proxy.url}, bad):
            listed = ponant("models", data=tmp_path, PONANT_URL=url, **variables)
            assert "yes" in listed.stdout, listed.output
            answered = ponant("chat", "Hi", "--max-tokens", "1", data=tmp_path, PONANT_URL=url, **variables)
            assert answered.exit_code == 0, answered.output
    assert proxy.requests == []


@pytest.mark.parametrize("command", PROXIED)
def test_no_key_passes_a_proxy_in_clear_text(command: str, file: Path, tmp_path: Path) -> None:
    arguments = [argument.format(file=file) for argument in PROXIED[command]]
    with misbehaving(respond(502)) as proxy:
        result = ponant(*arguments, data=tmp_path, PONANT_URL=FAR, HTTP_PROXY=proxy.url)
    assert proxy.requests == []
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("ponant: ")]
    assert f"the API key would pass the proxy {proxy.url} (HTTP_PROXY) in clear text" in line
    assert "NO_PROXY" in line
    assert result.exit_code == (0 if command == "models" else 2)
    assert "no server" not in result.stdout


def test_other_keys_do_not_pass_it_either(file: Path, tmp_path: Path) -> None:
    keys = {"PONANT_API_KEY": None, "MISTRAL_API_KEY": None, "HF_TOKEN": KEY, "WANDB_API_KEY": "k" * 40}
    with misbehaving(respond(502)) as proxy:
        variables = keys | {"PONANT_URL": FAR, "HF_ENDPOINT": "http://hub.example", "HTTP_PROXY": proxy.url}
        pulled = ponant("pull", "hf:org/tiny", data=tmp_path, **variables)
        trained = ponant("finetune", str(file), "--wandb-project", "mine", data=tmp_path, **variables)
    assert proxy.requests == []
    assert (pulled.exit_code, trained.exit_code) == (2, 2)
    assert "HF_TOKEN would pass the proxy" in pulled.stderr
    assert "would pass the proxy" in trained.stderr


def test_a_proxy_that_fails_is_named_instead_of_no_server(tmp_path: Path) -> None:
    with misbehaving(respond(502, "<html>", kind="text/html")) as proxy:
        for url in (proxy.url, "http://127.0.0.1:9", "ftp://x"):
            result = ponant("models", data=tmp_path, PONANT_URL=FAR, PONANT_API_KEY=None, HTTP_PROXY=url)
            assert result.exit_code == 0
            assert "no server" not in result.stdout
            assert "HTTP_PROXY" in result.stderr
    assert KEY.encode() not in b"".join(proxy.requests)


@pytest.mark.parametrize(
    "variables",
    [{"ALL_PROXY": "socks://x"}, {"HTTPS_PROXY": "socks5://x"}, {"SSL_CERT_FILE": "/nowhere.pem"}],
    ids=lambda variables: next(iter(variables)),
)
def test_bad_settings_are_one_line_of_pull(variables: dict[str, str], tmp_path: Path) -> None:
    result = ponant("pull", "hf:org/tiny", data=tmp_path, HF_ENDPOINT="https://192.0.2.1", **variables)
    assert result.exit_code == 2
    assert next(iter(variables)) in result.stderr.splitlines()[-1]
