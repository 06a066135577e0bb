"""Training shards against a gateway."""

import pytest

from moongate import Client
from moongate.shards import samples, split


@pytest.fixture
def dataset(client, folder):
    """100 samples of two files each."""
    files = {}
    for number in range(100):
        files[f"c{number % 3}/{number:03}.jpg"] = b"image %d" % number
        files[f"c{number % 3}/{number:03}.cls"] = b"%d" % (number % 10)
    assert all(result.ok for result in client.upload(files.items(), folder))
    return folder


def keys(client: Client, folder, seed, shards=4):
    return [[sample["__key__"] for sample in client.shards(folder, shards, shard, seed)] for shard in range(shards)]


def test_all_shards_have_each_sample_once(client, dataset):
    found = keys(client, dataset, 1)
    assert sorted(sum(found, [])) == sorted(f"c{number % 3}/{number:03}" for number in range(100))


def test_a_sample_is_whole(client, dataset):
    sample = next(iter(client.shards(dataset, 4, 0, 1)))
    assert set(sample) == {"__key__", "jpg", "cls"}
    assert sample["jpg"] == b"image %d" % int(sample["__key__"][-3:])


def test_the_seed_decides_the_order(client, dataset):
    assert keys(client, dataset, 1) == keys(client, dataset, 1)
    assert keys(client, dataset, 1) != keys(client, dataset, 2)


def test_a_token_pins_the_listing(client, dataset):
    first = client.shards(dataset, 2, 0, 5)
    before = [sample["__key__"] for sample in first]
    assert first.at
    client.put(f"{dataset}/new.jpg", b"new")
    after = [sample["__key__"] for shard in (0, 1) for sample in client.shards(dataset, 2, shard, 5, first.at)]
    assert after[: len(before)] == before
    assert "new" not in after and len(after) == 100


def test_which_shard_is_checked(client):
    with pytest.raises(ValueError):
        client.shards("/", 4, 4)


def test_names_are_cut_at_the_first_dot():
    assert split("a.b/c.seg.png") == ("a.b/c", "seg.png")
    assert split("c") == ("c", "")
    files = [("a.jpg", b"1"), ("a.cls", b"2"), ("b.jpg", b"3")]
    assert [sample["__key__"] for sample in samples(iter(files))] == ["a", "b"]
