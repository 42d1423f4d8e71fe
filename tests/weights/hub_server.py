"""Local server with the used part of the Hugging Face hub's API, and selectable misbehaviour."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

COMMIT = "c0ffee" + 34 * "0"


@dataclass(frozen=True)
class Request:
    """Request: its path, and its headers by lower-case name."""

    path: str
    headers: dict[str, str]


Behaviour = Callable[["Answer"], None]


@dataclass
class Answer:
    """Request for the content of a file, with the means to answer it."""

    handler: BaseHTTPRequestHandler
    content: bytes
    start: int
    """Start of the requested range, in bytes."""

    def head(self, status: int, length: int | None, **headers: str) -> None:
        """Send the head of a response."""
        self.handler.send_response(status)
        if length is not None:
            self.handler.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("Connection", "close")
        self.handler.end_headers()

    def begin(self, **headers: str) -> bytes:
        """Send the head of a correct response; return its body."""
        rest = self.content[self.start :]
        headers = {"ETag": f'"{hashlib.sha256(self.content).hexdigest()}"'} | headers
        if self.start:
            last = len(self.content) - 1
            headers["Content-Range"] = f"bytes {self.start}-{last}/{len(self.content)}"
        self.head(206 if self.start else 200, len(rest), **headers)
        return rest

    def send(self, data: bytes) -> None:
        """Send part of a body."""
        self.handler.wfile.write(data)
        self.handler.wfile.flush()


def honest(answer: Answer) -> None:
    """Send the file, or the requested rest."""
    answer.send(answer.begin())


def breaking_off(after: int) -> Behaviour:
    """Close the connection after some bytes of the body."""
    return lambda answer: answer.send(answer.begin()[:after])


def status(code: int, **headers: str) -> Behaviour:
    """Send an error status."""
    return lambda answer: answer.head(code, 0, **headers)


def ignoring_range(answer: Answer) -> None:
    """Send the whole file for any range."""
    answer.start = 0
    honest(answer)


def claiming(length: int) -> Behaviour:
    """Announce this length, and send at most that many bytes."""

    def behave(answer: Answer) -> None:
        answer.head(200, length)
        answer.send(answer.content[:length])

    return behave


def unmeasured(content: bytes) -> Behaviour:
    """Send other content without its length."""

    def behave(answer: Answer) -> None:
        answer.head(200, None)
        answer.send(content)

    return behave


def damaged(answer: Answer) -> None:
    """Send the file with one bit flipped."""
    rest = bytearray(answer.begin())
    rest[-1] ^= 1
    answer.send(bytes(rest))


@dataclass
class Hub:
    """Repositories by name, each with its files; ``behaviours`` apply to the next requests for file contents."""

    url: str
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    behaviours: list[Behaviour] = field(default_factory=list)
    listings: list[int] = field(default_factory=list)
    """Statuses of the next requests for lists of files, then 200."""
    plain: tuple[str, ...] = (".json", ".md")
    """Suffixes of the files that are stored in Git itself."""
    token: str | None = None
    nonsense: bytes | None = None
    """Body sent in place of a list."""
    encoding: str = "identity"
    """Value of the header Content-Encoding of lists."""
    gated: bool = False
    """True if files need the token, but the list does not."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Wrong sizes in the list."""
    requests: list[Request] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    hanging: threading.Event = field(default_factory=threading.Event)
    """Set once a hanging response has begun; such responses hang until ``released``."""
    released: threading.Event = field(default_factory=threading.Event)

    def variables(self, home: Path) -> dict[str, str]:
        """Return environment variables for downloads from this hub without a token."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home / "nobody"),
            "HF_TOKEN": "",
            "HF_HUB_OFFLINE": "",
            "HF_HUB_DOWNLOAD_TIMEOUT": "2",
        }

    def fetched(self) -> list[Request]:
        """Return the requests for contents."""
        return [request for request in self.requests if request.path.startswith("/cdn/")]

    def ranges(self) -> list[str | None]:
        """Return the requested ranges."""
        return [request.headers.get("range") for request in self.fetched()]

    def hanging_after(self, after: int) -> Behaviour:
        """Send some bytes of the body, then nothing."""

        def behave(answer: Answer) -> None:
            answer.send(answer.begin()[:after])
            self.hanging.set()
            self.released.wait(60)

        return behave

    def listing(self, repository: str) -> dict[str, Any]:
        """Return the hub's description of a repository."""
        files = self.repositories[repository]
        return {
            "id": repository,
            "sha": COMMIT,
            "private": False,
            "siblings": [self._sibling(path, content) for path, content in files.items()],
        }

    def _sibling(self, path: str, content: bytes) -> dict[str, Any]:
        size = self.sizes.get(path, len(content))
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if path.endswith(self.plain):
            return {"rfilename": path, "size": size, "blobId": git}
        lfs = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 134}
        return {"rfilename": path, "size": size, "blobId": git, "lfs": lfs}


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        headers: Message = self.headers
        asked = {name.lower(): value for name, value in headers.items()}
        self.hub.requests.append(Request(self.path, asked))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if self.path.startswith("/cdn/"):
                self._send_content(asked)
            elif self.path.startswith("/api/models/") and self.hub.gated:
                self._list()
            elif self.hub.token and asked.get("authorization") != f"Bearer {self.hub.token}":
                self._refuse(401)
            elif self.path.startswith("/api/models/"):
                self._list()
            else:
                self._redirect()
        self.close_connection = True

    def _list(self) -> None:
        code = self.hub.listings.pop(0) if self.hub.listings else 200
        repository, _, rest = self.path.removeprefix("/api/models/").partition("/revision/main")
        if code == 200 and (rest != "?blobs=true" or repository not in self.hub.repositories):
            code = 404 if self.hub.token else 401  # the hub hides missing repositories
        if code != 200:
            self._refuse(code)
            return
        body = self.hub.nonsense or json.dumps(self.hub.listing(repository)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Encoding", self.hub.encoding)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self) -> None:
        """Redirect to another host, as the hub does: from its address to `localhost`."""
        repository, _, path = self.path.removeprefix("/").partition(f"/resolve/{COMMIT}/")
        content = self.hub.repositories.get(repository, {}).get(path)
        if content is None:
            self._refuse(404)
            return
        key = hashlib.sha256(content).hexdigest()
        self.hub.contents[key] = content
        self.send_response(302)
        self.send_header("Location", f"{self.hub.url.replace('127.0.0.1', 'localhost')}/cdn/{key}")
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def _send_content(self, asked: dict[str, str]) -> None:
        content = self.hub.contents[self.path.removeprefix("/cdn/")]
        span = asked.get("range", "").removeprefix("bytes=").removesuffix("-")
        start = int(span) if span else 0
        if asked.get("if-range", "") not in ("", f'"{hashlib.sha256(content).hexdigest()}"'):
            start = 0
        behave = self.hub.behaviours.pop(0) if self.hub.behaviours else honest
        behave(Answer(self, content, start))

    def _refuse(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()


@contextlib.contextmanager
def hub_server() -> Iterator[Hub]:
    """Run a hub without repositories."""

    class Handler(_Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub = Handler.hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
