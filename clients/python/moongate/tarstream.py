"""Tars as they stream: written from what is in memory, read as they come."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from .errors import Unreachable

# The entry by which a server names what it could not put into an archive.
ERRORS_NAME = "MOONGATE-ERRORS.jsonl"


def packed(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """The pieces of a tar of these files."""
    now = int(time.time())
    for name, data in files:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = len(data), now, 0o660
        yield info.tobuf(tarfile.PAX_FORMAT)
        yield data
        yield bytes(-len(data) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


class _Counted(io.RawIOBase):
    """Passes bytes through, and counts them: tarfile takes a tar without its end for a whole one."""

    def __init__(self, source: BinaryIO):
        self._source = source
        self.passed = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.passed += len(data)
        return data

    def drain(self) -> None:
        """Reads to the end."""
        while self.read(64 << 10):
            pass


def unpacked(source: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """The files of a tar. One that is cut off is an error, after the files before."""
    counted = _Counted(source)
    try:
        with tarfile.open(fileobj=counted, mode="r|") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name, file.read()
            end = archive.offset
    except tarfile.TarError as error:
        raise Unreachable(f"the archive is cut off or damaged: {error}") from error
    counted.drain()
    # Behind the last file stand two empty blocks.
    if counted.passed < end + 2 * tarfile.BLOCKSIZE:
        raise Unreachable("the archive is cut off: its end is missing")


def errors(lines: bytes) -> Iterator[dict]:
    """What the last entry of an archive says is missing from it."""
    for line in lines.splitlines():
        if line.strip():
            yield json.loads(line)
