"""The Hugging Face hub, or a server like it: which files a repository has, and where each can be fetched."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import httpx2
import msgspec

from ponant._version import __version__
from ponant.weights.attempts import DownloadError, Watcher, get
from ponant.weights.download import Checksum

_ENDPOINT = "https://huggingface.co"
_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 30.0
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


class HubError(Exception):
    """The hub does not give what is asked for. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository: its path there, its size in bytes, its checksum, and where to fetch it."""

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
    """The hub at the address in ``HF_ENDPOINT``, huggingface.co by default, as a user of the token in ``HF_TOKEN``.

    The token goes to that address alone, not to where it redirects. ``HF_HUB_DOWNLOAD_TIMEOUT`` is the number of
    seconds of silence after which a connection counts as lost.
    """

    def __init__(self) -> None:
        """Nothing is asked for yet."""
        self.endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _ENDPOINT
        self._token = _token()
        headers = {"user-agent": f"ponant/{__version__}"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        silence = _seconds(os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT"), _SILENCE_SECONDS)
        self.client = httpx2.Client(
            headers=headers,
            follow_redirects=True,
            timeout=httpx2.Timeout(silence, connect=min(silence, _CONNECT_SECONDS)),
        )

    def __enter__(self) -> "Hub":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def files(self, repository: str, watcher: Watcher) -> list[HubFile]:
        """What a repository has, all of the same commit: those of its files that have a checksum.

        Raises:
            HubError: there is no such repository, or no access to it, or to the hub.
        """
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE:
            raise HubError("HF_HUB_OFFLINE forbids it")
        address = f"{self.endpoint}/api/models/{repository}/revision/main?blobs=true"
        try:
            response, body = get(self.client, address, watcher)
        except DownloadError as error:
            raise HubError(str(error)) from error
        except httpx2.InvalidURL as error:
            raise HubError(f"HF_ENDPOINT is no address of a hub: {error}") from error
        if response.status_code != 200:
            raise HubError(self._refusal(repository, response))
        try:
            found = msgspec.json.decode(body, type=_Repository)
        except msgspec.MsgspecError as error:
            raise HubError(f"{self.endpoint} does not answer like a hub: {error}") from error
        return [file for sibling in found.siblings if (file := self._file(repository, found.sha, sibling))]

    def gate(self, repository: str) -> str:
        """What to do about a repository that not everybody gets."""
        return (
            f"{repository} is given to those alone who ask for it: do that at {self.endpoint}/{repository}, "
            "and set HF_TOKEN"
        )

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
                    f"{self.endpoint} has no repository {repository}, or it is a private one: look at the name, or "
                    "set HF_TOKEN"
                )
            case 404:
                return f"{self.endpoint} has no repository {repository} that the token in HF_TOKEN may see"
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
    """Whether a path of a repository stays below the folder that it is put into."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path and "\0" not in path


def _token() -> str | None:
    """The user's token: from the environment, or where the hub's own tools have put it."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    file = Path(os.environ.get("HF_TOKEN_PATH") or Path(home) / "token")
    token = os.environ.get("HF_TOKEN", "").strip()
    try:
        return token or file.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _seconds(text: str | None, default: float) -> float:
    try:
        return max(0.1, float(text)) if text else default
    except ValueError:
        return default
