"""HTTP/1.1 over a few kept connections, tried again where that may help."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, urlencode, urlsplit

from .errors import MoongateError, Refused, Unreachable

PORT = 8888
# Busy, or a proxy that has lost its server: the same request may succeed later.
PASSING = frozenset({429, 502, 503, 504})
WAIT_MAX_SECS = 20.0
RETRY_AFTER_MAX_SECS = 120.0
KEPT_MAX = 32
CHUNK_BYTES = 256 << 10
# What breaks a connection, and leaves nothing half done that the same request would not do again.
BROKEN = (ConnectionError, TimeoutError, http.client.HTTPException, OSError)

Body = bytes | Iterable[bytes] | None


def address(url: str) -> tuple[str, int]:
    """Host and port of `moongate://HOST:PORT`, `http://HOST:PORT` or `HOST:PORT`."""
    if url.startswith("https://"):
        raise ValueError(f"{url}: https is not spoken yet: write http:// or moongate://")
    parts = urlsplit(url if "://" in url else f"moongate://{url}")
    if parts.scheme not in ("moongate", "http") or not parts.hostname:
        raise ValueError(f"{url}: is no server: write moongate://HOST:PORT")
    return parts.hostname, parts.port or (80 if parts.scheme == "http" else PORT)


def target(path: str, query: dict[str, str] | None = None) -> str:
    """Path and query as they stand in a request."""
    escaped = quote(path, safe="/~!$&'()*+,;=:@")
    return f"{escaped}?{urlencode(query)}" if query else escaped


class Answer:
    """An answer whose head has come. Read it to its end, or close it."""

    def __init__(self, pool: Pool, connection: http.client.HTTPConnection, response: http.client.HTTPResponse):
        self._pool = pool
        self._connection = connection
        self._response = response
        self.status = response.status
        self.headers = response.headers

    def read(self, size: int = -1) -> bytes:
        """As a file's; an answer that is cut off is an error, never a short read."""
        try:
            data = self._response.read(None if size < 0 else size)
        except http.client.IncompleteRead as error:
            raise Unreachable(f"the answer is cut off: {error}") from error
        # With a known length, http.client takes an early end of the connection for the end of the body.
        if not data and size != 0 and self._response.length:
            raise Unreachable(f"the answer is cut off: {self._response.length} bytes are missing")
        return data

    def lines(self) -> Iterator[dict]:
        """The JSON lines of the body."""
        rest = b""
        while data := self.read(CHUNK_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.strip():
                    yield json.loads(line)
        if rest.strip():
            yield json.loads(rest)

    def close(self) -> None:
        """Gives the connection back if all was read, else ends it."""
        if self._response.isclosed() and not self._response.will_close:
            self._pool.put(self._connection)
        else:
            self._connection.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Pool:
    """Connections to one server; any number of threads may use it."""

    def __init__(self, url: str, retries: int, timeout_secs: float):
        self.host, self.port = address(url)
        self.retries = retries
        self.timeout_secs = timeout_secs
        self._free: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def put(self, connection: http.client.HTTPConnection) -> None:
        """Keeps a connection for the next request."""
        with self._lock:
            if len(self._free) < KEPT_MAX:
                self._free.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Closes the connections that are not in use."""
        with self._lock:
            free, self._free = self._free, []
        for connection in free:
            connection.close()

    def send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Callable[[], Body] | bytes | None = None,
        headers: dict[str, str] | None = None,
        accept: Callable[[http.client.HTTPResponse], bool] = lambda response: False,
        waits: Iterator[float] | None = None,
    ) -> Answer:
        """Sends a request until there is an answer of success, or one that `accept` takes.

        `body` is a function where it cannot be sent twice as it is: it is called for each try. `waits`: those of a
        caller who tries again too.
        """
        waits = self.waits() if waits is None else waits
        while True:
            try:
                return self._try(method, target(path, query), body() if callable(body) else body, headers or {}, accept)
            except Refused as error:
                if error.status not in PASSING or not self.pause(waits, error):
                    raise
            except BROKEN as error:
                if not self.pause(waits, error):
                    raise self._unreachable(error) from error

    def waits(self) -> Iterator[float]:
        """How long to wait before each further try, seconds."""
        for number in range(self.retries):
            yield min(0.2 * 2**number, WAIT_MAX_SECS) * random.uniform(1, 2)

    @staticmethod
    def pause(waits: Iterator[float], error: Exception) -> bool:
        """Waits before the next try; False if there have been enough."""
        wait = next(waits, None)
        if wait is None:
            return False
        asked = getattr(error, "retry_after_secs", None) or 0.0
        time.sleep(max(wait, min(asked, RETRY_AFTER_MAX_SECS)))
        return True

    def _unreachable(self, error: BaseException) -> BaseException:
        if isinstance(error, MoongateError):
            return error
        return Unreachable(f"{self.host}:{self.port}: {error or type(error).__name__}")

    def _try(self, method: str, url: str, body: Body, headers: dict[str, str], accept) -> Answer:
        with self._lock:
            connection = self._free.pop() if self._free else None
        kept = connection is not None
        if connection is None:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_secs)
        try:
            connection.request(method, url, body, headers, encode_chunked="Transfer-Encoding" in headers)
            response = connection.getresponse()
        except BROKEN as error:
            connection.close()
            # The server has closed it while nobody used it: that is no failure.
            if kept and (body is None or isinstance(body, bytes)) and not isinstance(error, TimeoutError):
                return self._try(method, url, body, headers, accept)
            raise
        answer = Answer(self, connection, response)
        if response.status < 300 or accept(response):
            return answer
        with answer:
            raise refusal(answer)


def refusal(answer: Answer) -> Refused:
    """The error in an answer, in the server's words."""
    text = answer.read().decode("utf-8", "replace").strip()
    try:
        text = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        pass
    error = Refused(answer.status, text or "refused")
    after = answer.headers.get("Retry-After", "")
    error.retry_after_secs = float(after) if after.isdigit() else None
    return error
