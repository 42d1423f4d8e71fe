"""HTTP client that sends any bytes, and bounds the time and the size of a reply."""

import contextlib
import http.client
import threading
import time
from dataclasses import dataclass
from types import TracebackType

from hostile.requests import Request

HOST = "127.0.0.1"
_PIECE = 2**20
_KEPT = 4_000
"""Most bytes of a reply that are kept."""
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Reply:
    """A reply.

    Attributes:
        status: HTTP status; 0 if there was none.
        size: size of the body in bytes.
        seconds: time from the first byte sent to the last one received.
        beginning: beginning of the body, or the reason why there is none.
    """

    status: int
    size: int
    seconds: float
    beginning: bytes

    @property
    def is_timeout(self) -> bool:
        """True if no reply, or not all of it, came in time."""
        return self.status == 0 and self.beginning == b"timeout"


class HttpClient:
    """A client with one connection, which is kept open. It is not used after a timeout."""

    def __init__(self, port: int, seconds: float) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
        self._is_used = False

    def send(self, request: Request) -> Reply:
        """Send a request and read the reply."""
        began = time.perf_counter()
        try:
            try:
                status, size, beginning = self._exchange(request)
            except (http.client.RemoteDisconnected, ConnectionError):
                if not self._is_used:
                    raise
                self.close()  # the server had closed the kept connection
                status, size, beginning = self._exchange(request)
        except TimeoutError:
            status, size, beginning = 0, 0, b"timeout"
        except (http.client.HTTPException, OSError) as error:
            status, size, beginning = 0, 0, repr(error).encode()
        if status == 0:
            self.close()
        return Reply(status, size, time.perf_counter() - began, beginning)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._is_used = False

    def _exchange(self, request: Request) -> tuple[int, int, bytes]:
        self._connection.putrequest(request.method, request.target, skip_accept_encoding=True)
        if request.content_type:
            self._connection.putheader("Content-Type", request.content_type)
        if request.body or request.method in ("POST", "PATCH", "PUT"):
            self._connection.putheader("Content-Length", str(len(request.body)))
        self._connection.endheaders()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before the end of the body
            self._connection.send(request.body)
        response = self._connection.getresponse()
        size, beginning = 0, b""
        while piece := response.read(_PIECE):
            size += len(piece)
            beginning = beginning or piece[:_KEPT]
        self._is_used = not response.will_close
        return response.status, size, beginning


class HealthProbe:
    """Background thread that polls ``/health``, as a context.

    Attributes:
        longest: longest time of an answer, in seconds.
        failures: polls without status 200.
    """

    def __init__(self, port: int, seconds: float = 60) -> None:
        self.longest = 0.0
        self.failures = 0
        self._port = port
        self._seconds = seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health-probe", daemon=True)

    def __enter__(self) -> "HealthProbe":
        """Begin to poll."""
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """End polling."""
        self._ending.set()
        self._thread.join(self._seconds + 1)

    def _run(self) -> None:
        client = HttpClient(self._port, self._seconds)
        request = Request("health", "GET", "/health")
        while not self._ending.wait(_POLL_SECONDS):
            reply = client.send(request)
            if not self._ending.is_set():
                self.longest = max(self.longest, reply.seconds)
                self.failures += reply.status != 200
        client.close()
