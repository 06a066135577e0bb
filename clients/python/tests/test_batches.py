"""Batches, single files and listings against a gateway."""

import os
import random

import pytest

from moongate import Client, Missing, Refused
from moongate.batches import SMALL_BYTES_MAX


def made(count, seed=1):
    """Files of 0 to 3,000 bytes in a few folders."""
    rng = random.Random(seed)
    return {f"f{number % 7}/{number:05}.jpg": rng.randbytes(rng.randrange(3000)) for number in range(count)}


def test_what_is_uploaded_is_downloaded(client, folder):
    files = made(2500) | {"ä b/%20#?&+.bin": b"x", "l" * 200 + "/" + "n" * 200: b"long"}
    results = list(client.upload(files.items(), folder))
    assert [result.name for result in results] == list(files)
    assert all(result.ok and result.size == len(files[result.name]) for result in results)
    for order in ("asked", "stored"):
        got = list(client.download((f"{folder}/{name}" for name in files), order))
        assert dict(got) == {f"{folder}/{name}": data for name, data in files.items()}
        if order == "asked":
            assert [path for path, _ in got] == [f"{folder}/{name}" for name in files]


def test_large_files_come_from_paths(client, folder, tmp_path):
    large, small = tmp_path / "large", tmp_path / "small"
    large.write_bytes(random.Random(2).randbytes(SMALL_BYTES_MAX + 1))
    small.write_bytes(b"small")
    results = list(client.upload([("a", b"1"), ("large", large), ("small", os.fspath(small))], folder))
    assert [(result.name, result.size) for result in results] == [("a", 1), ("large", SMALL_BYTES_MAX + 1), ("small", 5)]
    assert client.get(f"{folder}/large") == large.read_bytes()


def test_a_name_that_comes_twice_is_stored_twice(client, folder):
    results = list(client.upload([("a", b"1"), ("b", b"2"), ("a", b"3")], folder))
    assert [result.name for result in results] == ["a", "b", "a"] and all(result.ok for result in results)


def test_one_bad_name_does_not_stop_the_others(client, folder):
    results = list(client.upload([("a", b"1"), ("n" * 300, b"2"), ("b", b"3")], folder))
    assert [result.ok for result in results] == [True, False, True]
    assert results[1].error


def test_what_is_missing_is_told_after_the_rest(client, folder):
    list(client.upload([("a", b"1"), ("b", b"2")], folder))
    got = []
    with pytest.raises(Missing) as told:
        got.extend(client.download([f"{folder}/a", f"{folder}/nope", f"{folder}/b"]))
    assert list(told.value.errors) == [f"{folder}/nope"]


def test_delete_tells_of_each(client, folder):
    list(client.upload(made(20).items(), folder))
    paths = [entry["FullPath"] for entry in client.list(f"{folder}/f0")]
    results = list(client.delete([*paths, f"{folder}/nope"]))
    assert [result.name for result in results] == [*paths, f"{folder}/nope"]
    assert all(result.ok for result in results[:-1])
    assert list(client.list(f"{folder}/f0")) == []


def test_a_folder_is_pushed_and_pulled(client, folder, tmp_path):
    for name, data in made(50).items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert all(result.ok for result in client.push(tmp_path / "source", folder))
    written = list(client.pull(folder, tmp_path / "copy"))
    assert len(written) == 50
    for path in written:
        assert path.read_bytes() == (tmp_path / "source" / path.relative_to(tmp_path / "copy")).read_bytes()
    assert client.usage(folder)["Files"] == 50


def test_single_files(client, folder):
    path = f"{folder}/a.bin"
    assert client.put(path, b"0123456789")["size"] == 10
    assert client.get(path) == b"0123456789"
    assert client.get(path, 2, 5) == b"234"
    assert client.get(path, -3) == b"789"
    assert client.get(path, 10, 20) == client.get(path, 5, 5) == b""
    with client.open(path) as stream:
        assert stream.read(4) == b"0123"
    assert client.stat(path)["FileSize"] == 10
    client.copy(path, f"{folder}/b.bin")
    client.move(path, f"{folder}/c.bin")
    assert [entry["FullPath"] for entry in client.list(folder)] == [f"{folder}/b.bin", f"{folder}/c.bin"]
    with pytest.raises(FileNotFoundError):
        client.stat(path)
    with pytest.raises(FileExistsError):
        client.mkdir(folder)
    with pytest.raises(Refused):
        client.remove(folder)


def test_addresses():
    for text, host, port in [("h", "h", 8888), ("h:1", "h", 1), ("moongate://h", "h", 8888), ("http://h", "h", 80)]:
        pool = Client(text).pool
        assert (pool.host, pool.port) == (host, port)
    for text in ("https://h", "ftp://h", "moongate://"):
        with pytest.raises(ValueError):
            Client(text)
