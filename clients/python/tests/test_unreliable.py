"""What happens when a server is busy, gone, or cuts its answers off. It is a few lines of socket here."""

import socket
import threading
import time

import pytest

from moongate import Client, Refused, Unreachable, tarstream


@pytest.fixture
def answering():
    """Starts a server that gives each connection the next answer, and closes it."""
    listeners = []

    def start(*answers):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve():
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
GONE = b""
NO = b'HTTP/1.1 409 No\r\nContent-Length: 14\r\nConnection: close\r\n\r\n{"error":"no"}'


def test_a_busy_server_is_asked_again_when_it_says(answering):
    started = time.monotonic()
    assert Client(answering(BUSY, OK)).get("/a") == b"ok"
    assert time.monotonic() - started >= 1


def test_a_connection_that_breaks_is_made_again(answering):
    assert Client(answering(GONE, CUT, OK)).get("/a") == b"ok"


def test_there_is_an_end_to_trying(answering):
    with pytest.raises(Unreachable):
        Client(answering(GONE, GONE, GONE), retries=1).get("/a")
    with pytest.raises(Unreachable):
        Client(answering(CUT, CUT), retries=0).get("/a")


def test_a_refusal_is_not_tried_again(answering):
    with pytest.raises(Refused) as refused:
        Client(answering(NO, OK)).get("/a")
    assert (refused.value.status, refused.value.reason) == (409, "no")


def test_a_listing_without_its_end_is_an_error(answering):
    line = b'{"FullPath":"/a/b"}\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(line)
    with pytest.raises(Unreachable):
        list(Client(answering(head + line), retries=0).list("/a"))


def test_a_listing_goes_on_where_it_broke(answering):
    lines = [b'{"FullPath":"/a/b"}\n', b'{"FullPath":"/a/b/c"}\n', b'{"FullPath":"/a/b.d"}\n', b'{"end":true,"entries":3}\n']

    def answer(lines, length):
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % length + b"".join(lines)

    length = sum(map(len, lines))
    client = Client(answering(answer(lines[:2], length), answer(lines, length)))
    assert [entry["FullPath"] for entry in client.list("/a", recursive=True)] == ["/a/b", "/a/b/c", "/a/b.d"]


def test_a_shard_goes_on_where_it_broke(answering):
    tar = b"".join(tarstream.packed([("a.jpg", b"1"), ("b.jpg", b"2"), ("c.jpg", b"3")]))
    head = b"HTTP/1.1 200 OK\r\nMoongate-At: t\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(tar)
    shards = Client(answering(head + tar[:2600], head + tar[:600], head + tar)).shards("/a", 1, 0)
    assert [sample["__key__"] for sample in shards] == ["a", "b", "c"]
    assert shards.at == "t"


class Pieces:
    """A stream of bytes that ends early."""

    def __init__(self, data):
        self.data = data

    def read(self, size=-1):
        piece, self.data = self.data[:size], self.data[size:]
        return piece


def test_a_tar_that_is_cut_off_anywhere_is_an_error():
    files = [("a", b"1" * 700), ("b", b""), ("c", bytes(2048))]
    whole = b"".join(tarstream.packed(files))
    assert list(tarstream.unpacked(Pieces(whole))) == files
    for length in range(0, len(whole), 100):
        with pytest.raises(Unreachable):
            list(tarstream.unpacked(Pieces(whole[:length])))
