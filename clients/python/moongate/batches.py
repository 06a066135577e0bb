"""What goes together in one request of an upload."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

BATCH_FILES = 1000
BATCH_BYTES = 16 << 20
# Larger files have a request of their own, and are read as they are sent.
SMALL_BYTES_MAX = 4 << 20

Item = tuple[str, "bytes | str | os.PathLike[str]"]


@dataclass
class Result:
    """What became of an item. `error` is None if it was done."""

    name: str
    size: int = 0
    crc32c: str | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.error is None


@dataclass
class Loaded:
    """An item to send: in memory, or a large file by its path."""

    name: str
    size: int
    data: bytes = b""
    path: str | None = None


def loaded(name: str, content: bytes | str | os.PathLike[str]) -> Loaded:
    """Reads a file, unless it is a large one."""
    if isinstance(content, (bytes, bytearray, memoryview)):
        return Loaded(name, len(content), bytes(content))
    path = os.fspath(content)
    size = os.path.getsize(path)
    if size > SMALL_BYTES_MAX:
        return Loaded(name, size, path=path)
    with open(path, "rb") as file:
        data = file.read()
    return Loaded(name, len(data), data)


def batches(items: Iterable[Item]) -> Iterator[list[Loaded]]:
    """Items in batches of bounded size, in order. A name that comes again begins a new one."""
    batch: list[Loaded] = []
    names: set[str] = set()
    size = 0
    for name, content in items:
        item = loaded(name.lstrip("/"), content)
        full = len(batch) >= BATCH_FILES or size + item.size > BATCH_BYTES
        if batch and (full or item.path is not None or item.name in names):
            yield batch
            batch, names, size = [], set(), 0
        if item.path is not None:
            yield [item]
            continue
        batch.append(item)
        names.add(item.name)
        size += item.size
    if batch:
        yield batch
