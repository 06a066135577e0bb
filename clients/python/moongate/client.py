"""The file port's calls."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from . import tarstream
from .batches import BATCH_FILES, Item, Loaded, Result, batches
from .errors import Missing, Refused, Unreachable
from .http import CHUNK_BYTES, PASSING, Answer, Pool
from .shards import Shards

NDJSON = "application/x-ndjson"
FOLDER_BIT = 1 << 31


def default_url() -> str:
    """MOONGATE_URL, else the file port on this machine."""
    return os.environ.get("MOONGATE_URL") or "moongate://127.0.0.1:8888"


class Client:
    """One server; any number of threads may use it.

    `retries`: tries after the first, where the server is busy or the connection breaks. `timeout_secs`: how long a
    connection may be silent. `jobs`: requests of a batch call that are under way at once.
    """

    def __init__(self, url: str | None = None, *, retries: int = 8, timeout_secs: float = 120.0, jobs: int = 4):
        self.pool = Pool(url or default_url(), retries, timeout_secs)
        self.jobs = max(1, jobs)

    def close(self) -> None:
        """Closes the connections that are kept."""
        self.pool.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Batches

    def upload(self, items: Iterable[Item], folder: str = "/", **query: str) -> Iterator[Result]:
        """Stores (name, content) pairs below `folder`; a content is bytes, or a path here.

        Yields one `Result` an item, in order, once it is durable. Nothing is sent until it is iterated over. `query`:
        parameters of the call, as `ttl="3d"`.
        """
        folder = folder_form(folder)
        yield from self._in_order(lambda batch: self._upload(batch, folder, query), batches(items))

    def download(self, wanted: Iterable[str], order: str = "asked") -> Iterator[tuple[str, bytes]]:
        """Fetches paths (which begin with a slash) or file ids; yields (path or id, content).

        `order="stored"` lets the server read its volumes front to back, within each batch. What could not be read is
        told at the end by `Missing`, after all the rest.
        """
        missing: dict[str, str] = {}
        lists = grouped(wanted, BATCH_FILES)
        yield from self._in_order(lambda batch: self._download(batch, order, missing), lists)
        if missing:
            raise Missing(missing)

    def delete(self, wanted: Iterable[str]) -> Iterator[Result]:
        """Deletes paths or file ids; yields one `Result` each."""
        yield from self._in_order(self._delete, grouped(wanted, BATCH_FILES))

    def shards(self, folder: str, shards: int, shard: int, seed: int = 0, at: str | None = None) -> Shards:
        """Samples of shard `shard` (from 0) of `shards` of a folder, shuffled by `seed`."""
        return Shards(self, folder_form(folder), shards, shard, seed, at)

    def push(self, source: str | os.PathLike[str], folder: str) -> Iterator[Result]:
        """Stores all files below a folder here below one there. (`moongate put` also leaves out what is there.)"""
        root = Path(source)
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return self.upload(((path.relative_to(root).as_posix(), path) for path in files), folder)

    def pull(self, folder: str, dest: str | os.PathLike[str]) -> Iterator[Path]:
        """Fetches all files below a folder there into one here; yields where each was written."""
        prefix = folder_form(folder)
        paths = (entry["FullPath"] for entry in self.list(folder, recursive=True) if not is_folder(entry))
        for path, data in self.download(paths, order="stored"):
            target = Path(dest, safe(path.removeprefix(prefix)))
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".moongate-part.{os.getpid()}")
            part.write_bytes(data)
            part.replace(target)
            yield target

    # Single files and folders

    def put(self, path: str, content: bytes | BinaryIO, content_type: str = "application/octet-stream", **query: str) -> dict:
        """Stores one file; one that is open is read from where it stands."""
        headers = {"Content-Type": content_type}
        if isinstance(content, bytes):
            return self._json("PUT", path, query, content, headers)
        start = content.tell() if content.seekable() else None

        def body() -> Iterator[bytes]:
            if start is not None:
                content.seek(start)
            elif content.closed:
                raise Unreachable("the connection broke, and what was read cannot be read again")
            return iter(lambda: content.read(CHUNK_BYTES), b"")

        return self._json("PUT", path, query, body, {**headers, "Transfer-Encoding": "chunked"})

    def get(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """The content of a file, or bytes `start` to before `end` of it; a negative `start` counts from its end."""
        if start is not None and end is not None and start >= end:
            return b""
        headers = {}
        if start is not None and start < 0:
            headers["Range"] = f"bytes={start}"
        elif start or end is not None:
            headers["Range"] = f"bytes={start or 0}-{'' if end is None else end - 1}"
        waits = self.pool.waits()
        while True:
            try:
                with self.pool.send("GET", path, headers=headers, waits=waits) as answer:
                    return answer.read()
            except Refused as error:
                if error.status == 416:
                    return b""
                raise
            except Unreachable as error:
                if not self.pool.pause(waits, error):
                    raise

    def open(self, path: str) -> Answer:
        """The content of a file as a stream; close it, or use `with`."""
        return self.pool.send("GET", path)

    def stat(self, path: str) -> dict:
        """What the server knows of a file or folder; FileNotFoundError if nothing is there."""
        return self._json("GET", path, {"metadata": "true"})

    def list(self, folder: str, recursive: bool = False) -> Iterator[dict]:
        """What is in a folder, or all below it, in order of the paths."""
        last: list[str] = []
        waits = self.pool.waits()
        while True:
            try:
                for entry in self._try_list(folder_form(folder), recursive, waits):
                    parts = entry["FullPath"].split("/")
                    # Had before the connection broke: the order is that of the names in the paths.
                    if not last or parts > last:
                        waits = self.pool.waits()
                        last = parts
                        yield entry
                return
            except Unreachable as error:
                if not self.pool.pause(waits, error):
                    raise

    def _try_list(self, folder: str, recursive: bool, waits: Iterator[float]) -> Iterator[dict]:
        query = {"recursive": "true"} if recursive else None
        with self._or_not_found("GET", folder, query, headers={"Accept": NDJSON}, waits=waits) as answer:
            for entry in answer.lines():
                if entry.get("end"):
                    return
                if "error" in entry:
                    raise Unreachable(entry["error"])
                yield entry
        raise Unreachable(f"{folder}: the listing is cut off")

    def usage(self, folder: str) -> dict:
        """`{"Files", "Folders", "Bytes"}` below a folder."""
        return self._json("GET", folder_form(folder), {"usage": "true"})

    def mkdir(self, path: str) -> None:
        """Makes a folder; FileExistsError if something is there."""
        try:
            self._json("POST", folder_form(path))
        except Refused as error:
            if error.status == 409:
                raise FileExistsError(path) from error
            raise

    def remove(self, path: str, recursive: bool = False) -> None:
        """Deletes a file, an empty folder, or with `recursive` a folder with all that is in it."""
        self._or_not_found("DELETE", path, {"recursive": "true"} if recursive else None).close()

    def move(self, source: str, target: str) -> None:
        """Moves a file or folder to a new path, at once."""
        self.pool.send("POST", target, {"mv.from": source}).close()

    def copy(self, source: str, target: str) -> None:
        """Copies a file or folder to a new path."""
        self.pool.send("POST", target, {"cp.from": source, "overwrite": "true"}).close()

    # How it is done

    def _json(self, method: str, path: str, query: dict | None = None, body=None, headers: dict | None = None) -> dict:
        waits = self.pool.waits()
        while True:
            try:
                with self._or_not_found(method, path, query, body=body, headers=headers, waits=waits) as answer:
                    text = answer.read()
                return json.loads(text) if text else {}
            except Unreachable as error:
                if not self.pool.pause(waits, error):
                    raise

    def _or_not_found(self, method: str, path: str, query: dict | None = None, **rest) -> Answer:
        try:
            return self.pool.send(method, path, query, **rest)
        except Refused as error:
            if error.status == 404:
                raise FileNotFoundError(path) from error
            raise

    def _in_order(self, work, groups: Iterable[list]) -> Iterator:
        """Runs `work` on the groups, some at once, and yields what each gives, in the order of the groups."""
        with ThreadPoolExecutor(self.jobs) as workers:
            running: list[Future] = []
            try:
                for group in groups:
                    running.append(workers.submit(work, group))
                    if len(running) >= self.jobs:
                        yield from running.pop(0).result()
                while running:
                    yield from running.pop(0).result()
            finally:
                for future in running:
                    future.cancel()

    def _upload(self, batch: list[Loaded], folder: str, query: dict[str, str]) -> list[Result]:
        if len(batch) == 1 and batch[0].path is not None:
            return [self._upload_large(batch[0], folder, query)]
        results: dict[str, Result] = {}
        waits = self.pool.waits()
        while left := [item for item in batch if item.name not in results]:
            try:
                self._try_upload(left, folder, query, results, waits)
                break
            except (Refused, Unreachable) as error:
                passing = isinstance(error, Unreachable) or error.status in PASSING
                if not passing or not self.pool.pause(waits, error):
                    raise
        unsaid = "the server did not say what became of it"
        return [results.get(item.name) or Result(item.name, len(item.data), error=unsaid) for item in batch]

    def _try_upload(self, left: list[Loaded], folder: str, query: dict[str, str], results: dict[str, Result], waits: Iterator[float]) -> None:
        body = b"".join(tarstream.packed((item.name, item.data) for item in left))
        headers = {"Content-Type": "application/x-tar", "Accept": NDJSON}
        is_lines = lambda response: response.headers.get("Content-Type", "").startswith(NDJSON)  # noqa: E731
        with self.pool.send("POST", folder, {"batch": "", **query}, body, headers, is_lines, waits) as answer:
            for line in answer.lines():
                if "stored" in line:
                    if "error" in line:
                        raise Refused(answer.status, line["error"])
                    return
                if "skipped" in line:
                    continue
                results[line["name"]] = Result(line["name"], line.get("size", 0), line.get("crc32c"), line.get("error"))
        raise Unreachable("the answer has no last line")

    def _upload_large(self, item: Loaded, folder: str, query: dict[str, str]) -> Result:
        with open(item.path, "rb") as file:
            try:
                said = self.put(folder + item.name, file, **query)
            except Refused as error:
                return Result(item.name, item.size, error=str(error))
        return Result(item.name, said.get("size", 0), said.get("crc32c"))

    def _download(self, batch: list[str], order: str, missing: dict[str, str]) -> list[tuple[str, bytes]]:
        # Called by their numbers, so that no name is changed to be safe in an archive.
        left = {str(number): wanted for number, wanted in enumerate(batch)}
        got: dict[str, bytes] = {}
        waits = self.pool.waits()
        while left:
            try:
                self._try_download(left, order, got, missing, waits)
                break
            except Unreachable as error:
                if not self.pool.pause(waits, error):
                    raise
        names = got if order == "stored" else sorted(got, key=int)
        return [(batch[int(name)], got[name]) for name in names]

    def _try_download(self, left: dict[str, str], order: str, got: dict[str, bytes], missing: dict[str, str], waits: Iterator[float]) -> None:
        body = b"".join(list_line(wanted, name) for name, wanted in left.items())
        query = {"format": "tar", "order": order}
        with self.pool.send("POST", "/batch/get", query, body, {"Content-Type": NDJSON}, waits=waits) as answer:
            for name, data in tarstream.unpacked(answer):
                if name == tarstream.ERRORS_NAME:
                    for line in tarstream.errors(data):
                        if wanted := left.pop(line.get("name", ""), None):
                            missing[wanted] = line.get("error", "")
                elif left.pop(name, None) is not None:
                    got[name] = data
        for wanted in left.values():
            missing[wanted] = "the server did not say what became of it"
        left.clear()

    def _delete(self, batch: list[str]) -> list[Result]:
        body = b"".join(list_line(wanted) for wanted in batch)
        waits = self.pool.waits()
        while True:
            try:
                return self._try_delete(body, waits)
            except Unreachable as error:
                if not self.pool.pause(waits, error):
                    raise

    def _try_delete(self, body: bytes, waits: Iterator[float]) -> list[Result]:
        results = []
        with self.pool.send("POST", "/batch/delete", None, body, {"Content-Type": NDJSON}, waits=waits) as answer:
            for line in answer.lines():
                name = line.get("path") or line.get("fid")
                if name is not None:
                    results.append(Result(name, line.get("size", 0), error=line.get("error")))
                elif "deleted" in line:
                    return results
        raise Unreachable("the answer has no last line")


def list_line(wanted: str, name: str | None = None) -> bytes:
    """A line of a list: a path or a file id, and what to call it."""
    line = {"path" if wanted.startswith("/") else "fid": wanted}
    if name is not None:
        line["name"] = name
    return json.dumps(line).encode() + b"\n"


def grouped(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Groups of at most `size`."""
    group: list[str] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def folder_form(path: str) -> str:
    """With a slash at both ends."""
    return f"/{path.strip('/')}/" if path.strip("/") else "/"


def is_folder(entry: dict) -> bool:
    """Whether an entry is a folder's."""
    return bool(entry.get("Mode", 0) & FOLDER_BIT)


def safe(name: str) -> str:
    """A name that stays in the folder where it is written; ValueError for another."""
    if any(part in ("", ".", "..") or "\0" in part for part in name.split("/")):
        raise ValueError(f"{name!r}: cannot be a file's name here")
    return name
