"""The Hugging Face hub, or a compatible server: the files of a repository and their URLs."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import httpx2
import msgspec

from ponant._version import __version__
from ponant.private_files import read_bytes
from ponant.transports.environment import EnvironmentTransport
from ponant.transports.proxies import clear_text_proxy
from ponant.weights.attempts import DownloadError, Watcher, get
from ponant.weights.download import Checksum

_ENDPOINT = "https://huggingface.co"
_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 30.0
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


class HubError(Exception):
    """The hub refuses a request or fails. The message gives the reason and what to do."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository: path, size in bytes, checksum and URL."""

    path: str
    size: int
    checksum: Checksum
    url: str


class _Lfs(msgspec.Struct):
    sha256: str
    size: int


class _Sibling(msgspec.Struct, rename={"blob_id": "blobId"}):
    rfilename: str
    size: int | None = None
    blob_id: str | None = None
    lfs: _Lfs | None = None


class _Repository(msgspec.Struct):
    sha: str
    siblings: list[_Sibling]


class Hub:
    """A client of the hub at ``HF_ENDPOINT`` (default: huggingface.co), with the token in ``HF_TOKEN``.

    The token is sent to that host only, never to the target of a redirect. ``HF_HUB_DOWNLOAD_TIMEOUT`` is the read
    timeout in seconds.
    """

    def __init__(self) -> None:
        """Create the client. No request is sent."""
        self.endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _ENDPOINT
        self._token = _token()
        headers = {"user-agent": f"ponant/{__version__}"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        silence = _seconds(os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT"), _SILENCE_SECONDS)
        self.client = httpx2.Client(
            headers=headers,
            follow_redirects=True,
            transport=EnvironmentTransport(),
            timeout=httpx2.Timeout(silence, connect=min(silence, _CONNECT_SECONDS)),
        )

    def __enter__(self) -> "Hub":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def files(self, repository: str, watcher: Watcher) -> list[HubFile]:
        """Return the files of a repository that have a checksum, all of the same commit.

        Raises:
            HubError: there is no such repository, no access to it, or no connection to the hub.
        """
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE:
            raise HubError("HF_HUB_OFFLINE forbids it")
        if self._token and (proxy := clear_text_proxy(self.endpoint)):
            raise HubError(
                f"the token in HF_TOKEN would pass the proxy {proxy} in clear text. Use an https:// address in "
                "HF_ENDPOINT, or add its host to NO_PROXY"
            )
        address = f"{self.endpoint}/api/models/{repository}/revision/main?blobs=true"
        try:
            response, body = get(self.client, address, watcher)
        except DownloadError as error:
            raise HubError(str(error)) from error
        except httpx2.InvalidURL as error:
            raise HubError(f"HF_ENDPOINT is not a valid URL: {error}") from error
        if response.status_code != 200:
            raise HubError(self._refusal(repository, response))
        try:
            found = msgspec.json.decode(body, type=_Repository)
        except msgspec.MsgspecError as error:
            raise HubError(f"{self.endpoint} does not respond like a hub: {error}") from error
        return [file for sibling in found.siblings if (file := self._file(repository, found.sha, sibling))]

    def gate(self, repository: str) -> str:
        """Return the message for a gated repository."""
        return f"{repository} is gated: request access at {self.endpoint}/{repository}, and set HF_TOKEN"

    def _file(self, repository: str, commit: str, sibling: _Sibling) -> HubFile | None:
        size = sibling.lfs.size if sibling.lfs else sibling.size
        checksum = _checksum(sibling)
        if checksum is None or size is None or size < 0 or not _is_inside(sibling.rfilename):
            return None
        url = f"{self.endpoint}/{repository}/resolve/{quote(commit, safe='')}/{quote(sibling.rfilename)}"
        return HubFile(sibling.rfilename, size, checksum, url)

    def _refusal(self, repository: str, response: httpx2.Response) -> str:
        error = response.headers.get("x-error-code", "")
        match response.status_code:
            case 401 | 404 if not self._token and error != "GatedRepo":
                return (
                    f"{self.endpoint} has no repository {repository}, or it is private: check the name, or set HF_TOKEN"
                )
            case 404:
                return f"{self.endpoint} has no repository {repository} that the token in HF_TOKEN can access"
            case 401 if error != "GatedRepo":
                return f"{self.endpoint} does not accept the token in HF_TOKEN"
            case 401 | 403:
                return self.gate(repository)
            case status:
                return f"{self.endpoint} answers {status} {response.reason_phrase}".rstrip()


def _checksum(sibling: _Sibling) -> Checksum | None:
    if sibling.lfs:
        return Checksum("sha256", sibling.lfs.sha256.lower()) if _is_hex(sibling.lfs.sha256, 64) else None
    if sibling.blob_id and _is_hex(sibling.blob_id, 40):
        return Checksum("git", sibling.blob_id.lower())
    return None


def _is_hex(text: str, length: int) -> bool:
    return re.fullmatch(f"[0-9a-fA-F]{{{length}}}", text) is not None


def _is_inside(path: str) -> bool:
    """Return True if a path of a repository stays below its target folder."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path and "\0" not in path


def _token() -> str | None:
    """Return the user's token, from the environment or the token file of the hub's tools."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    file = Path(os.environ.get("HF_TOKEN_PATH") or Path(home) / "token")
    token = os.environ.get("HF_TOKEN", "").strip()
    try:
        return token or read_bytes(file).decode().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _seconds(text: str | None, default: float) -> float:
    try:
        return max(0.1, float(text)) if text else default
    except ValueError:
        return default
