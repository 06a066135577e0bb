"""The fsspec file system against a gateway."""

import random

import fsspec
import pytest

from moongate.fs import MoongateFileSystem


@pytest.fixture
def fs(client):
    """The file system on the gateway of the tests."""
    return MoongateFileSystem(host=client.pool.host, port=client.pool.port, skip_instance_cache=True)


def test_fsspec_finds_it_by_its_url(client, folder):
    url = f"moongate://{client.pool.host}:{client.pool.port}{folder}/a.txt"
    with fsspec.open(url, "w") as file:
        file.write("hello")
    with fsspec.open(url) as file:
        assert file.read() == b"hello"
    fs, path = fsspec.core.url_to_fs(url)
    assert isinstance(fs, MoongateFileSystem) and path == f"{folder}/a.txt"
    assert fs.unstrip_protocol(path) == url


def test_listings(fs, folder):
    fs.pipe({f"{folder}/a.jpg": b"1", f"{folder}/s/b.jpg": b"22", f"{folder}/s/t/c.txt": b"333"})
    assert fs.ls(folder, detail=False) == [f"{folder}/a.jpg", f"{folder}/s"]
    assert fs.find(folder) == [f"{folder}/a.jpg", f"{folder}/s/b.jpg", f"{folder}/s/t/c.txt"]
    assert fs.find(folder, maxdepth=1) == [f"{folder}/a.jpg"]
    assert fs.glob(f"{folder}/**/*.jpg") == [f"{folder}/a.jpg", f"{folder}/s/b.jpg"]
    assert fs.glob(f"{folder}/*") == [f"{folder}/a.jpg", f"{folder}/s"]
    assert fs.du(folder) == 6 and fs.du(f"{folder}/s", total=False) == {f"{folder}/s/b.jpg": 2, f"{folder}/s/t/c.txt": 3}
    info = fs.info(f"{folder}/s/b.jpg")
    assert (info["type"], info["size"], info["name"]) == ("file", 2, f"{folder}/s/b.jpg")
    assert fs.isdir(f"{folder}/s") and fs.isfile(f"{folder}/a.jpg") and not fs.exists(f"{folder}/x")
    assert [(path, sorted(folders), files) for path, folders, files in fs.walk(folder)][0] == (folder, ["s"], ["a.jpg"])
    with pytest.raises(FileNotFoundError):
        fs.ls(f"{folder}/x")


def test_parts_of_a_file(fs, folder):
    data = random.Random(3).randbytes(100_000)
    path = f"{folder}/a.bin"
    fs.pipe(path, data)
    for start, end in [(None, None), (0, 10), (99_990, None), (-7, None), (-7, -2), (5, -5), (100_000, None), (7, 7)]:
        assert fs.cat_file(path, start, end) == data[start:end], (start, end)
    assert fs.cat_ranges([path, path], [0, 50], [10, 60]) == [data[:10], data[50:60]]
    assert fs.head(path, 5) == data[:5] and fs.tail(path, 5) == data[-5:]
    with fs.open(path, block_size=1000) as file:
        file.seek(50_000)
        assert file.read(3000) == data[50_000:53_000]
        file.seek(-10, 2)
        assert file.read() == data[-10:]


def test_writing_a_file_in_pieces(fs, folder):
    path = f"{folder}/a.bin"
    with fs.open(path, "wb", block_size=1 << 16) as file:
        for number in range(100):
            file.write(b"%05d" % number * 1000)
        assert not fs.exists(path)
    assert fs.cat_file(path) == b"".join(b"%05d" % number * 1000 for number in range(100))
    with pytest.raises(FileExistsError):
        fs.open(path, "xb")
    with fs.transaction, fs.open(f"{folder}/b", "wb") as file:
        file.write(b"b")
    assert fs.cat_file(f"{folder}/b") == b"b"


def test_many_contents_at_once(fs, folder):
    contents = {f"{folder}/{number}": b"%d" % number for number in range(30)}
    fs.pipe(contents)
    assert fs.cat(list(contents)) == contents
    assert fs.cat(folder, recursive=True) == contents
    with pytest.raises(FileNotFoundError):
        fs.cat_file(f"{folder}/x")


def test_changes(fs, folder):
    fs.pipe({f"{folder}/a": b"a", f"{folder}/s/b": b"b", f"{folder}/s/c": b"c"})
    fs.cp_file(f"{folder}/a", f"{folder}/a2")
    fs.cp(f"{folder}/s", f"{folder}/s2", recursive=True)
    assert fs.find(f"{folder}/s2") == [f"{folder}/s2/b", f"{folder}/s2/c"]
    fs.mv(f"{folder}/s", f"{folder}/moved")
    assert not fs.exists(f"{folder}/s") and fs.cat_file(f"{folder}/moved/b") == b"b"
    fs.mkdir(f"{folder}/empty")
    with pytest.raises(FileExistsError):
        fs.makedirs(f"{folder}/empty")
    fs.makedirs(f"{folder}/empty", exist_ok=True)
    fs.rmdir(f"{folder}/empty")
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{folder}/moved")
    fs.rm(f"{folder}/moved", recursive=True)
    fs.rm(f"{folder}/a*")
    assert fs.ls(folder, detail=False) == [f"{folder}/s2"]


def test_folders_come_and_go(fs, folder, tmp_path):
    (tmp_path / "in/s").mkdir(parents=True)
    (tmp_path / "in/a").write_bytes(b"a")
    (tmp_path / "in/s/b").write_bytes(b"b")
    fs.put(f"{tmp_path}/in/", f"{folder}/up/", recursive=True)
    assert fs.find(f"{folder}/up") == [f"{folder}/up/a", f"{folder}/up/s/b"]
    fs.get(f"{folder}/up/", f"{tmp_path}/out/", recursive=True)
    assert (tmp_path / "out/s/b").read_bytes() == b"b"
