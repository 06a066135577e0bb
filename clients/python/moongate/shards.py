"""Training shards: a folder in a shuffled order, in parts, samples kept whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import tarstream
from .errors import Missing, Unreachable

if TYPE_CHECKING:
    from .client import Client

Sample = dict[str, "str | bytes"]


class Shards:
    """Samples of one shard, as `webdataset` has them: `{"__key__": "cat/001", "jpg": b"...", "json": b"..."}`.

    `at`: the token for the listing that the server used; known after the first sample, or before if it was given.
    Give it to the other shards of an epoch, and all see the same folder while it is written to.
    """

    def __init__(self, client: Client, folder: str, shards: int, shard: int, seed: int, at: str | None):
        if not 0 <= shard < shards:
            raise ValueError(f"shard {shard} of {shards}: it is 0 to {shards - 1}")
        self._client = client
        self._folder = folder
        self._query = {"shards": str(shards), "shard": str(shard), "seed": str(seed)}
        self.at = at

    def __iter__(self) -> Iterator[Sample]:
        done = 0
        waits = self._client.pool.waits()
        while True:
            try:
                # The same seed and token give the same samples: what breaks off goes on where it was.
                for number, sample in enumerate(self._read(waits)):
                    if number >= done:
                        waits = self._client.pool.waits()
                        done = number + 1
                        yield sample
                return
            except Unreachable as error:
                if not self._client.pool.pause(waits, error):
                    raise

    def _read(self, waits: Iterator[float]) -> Iterator[Sample]:
        query = dict(self._query, **({"at": self.at} if self.at else {}))
        with self._client.pool.send("GET", self._folder, query, waits=waits) as answer:
            self.at = answer.headers.get("Moongate-At", self.at)
            yield from samples(tarstream.unpacked(answer))


def split(name: str) -> tuple[str, str]:
    """Key and extension by the rule of WebDataset: the file's name is cut at its first dot."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return folder + slash + stem, extension


def samples(files: Iterator[tuple[str, bytes]]) -> Iterator[Sample]:
    """Puts files of one key, which follow each other, together."""
    sample: Sample = {}
    missing: dict[str, str] = {}
    for name, data in files:
        if name == tarstream.ERRORS_NAME:
            for line in tarstream.errors(data):
                missing[line.get("path") or line.get("name") or ""] = line.get("error", "")
            continue
        key, extension = split(name)
        if sample and sample["__key__"] != key:
            yield sample
            sample = {}
        sample["__key__"] = key
        sample[extension] = data
    if sample:
        yield sample
    if missing:
        raise Missing(missing)
