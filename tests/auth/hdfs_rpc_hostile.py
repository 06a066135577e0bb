"""A client of Hadoop's RPC that can do what no client should: see hdfs_frames.rs, which runs one of its cases with a ticket or a token."""

import base64
import hashlib
import os
import socket
import struct
import sys

import kerberos

SASL, CONTEXT, PING = -33, -3, -4
SUCCESS, NEGOTIATE, INITIATE, CHALLENGE, RESPONSE, WRAP = range(6)
CLIENT = b"c" * 16
PROTOCOL = b"org.apache.hadoop.hdfs.protocol.ClientProtocol"


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def number(field, value):
    return varint(field << 3) + varint(value)


def octets(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def number_at(message, at):
    """The varint that begins there, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(message):
    """The last value of each field; its octets or its number."""
    found, at = {}, 0
    while at < len(message):
        key, at = number_at(message, at)
        if key & 7 == 0:
            found[key >> 3], at = number_at(message, at)
            continue
        length, at = number_at(message, at)
        found.setdefault(("all", key >> 3), []).append(message[at : at + length])
        found[key >> 3] = message[at : at + length]
        at += length
    return found


def frame(call, *messages):
    zigzag = call << 1 if call >= 0 else (-call << 1) - 1
    header = number(1, 2) + number(2, 0) + number(3, zigzag) + octets(4, CLIENT) + number(5, 0)
    body = b"".join(varint(len(m)) + m for m in (header, *messages))
    return struct.pack(">I", len(body)) + body


def sasl(state, token=None, way=None):
    message = number(2, state)
    if token is not None:
        message += octets(3, token)
    if way:
        message += octets(4, octets(1, way) + octets(2, b""))
    return frame(SASL, message)


def context(user):
    said = octets(1, user.encode()) if user else b""
    return frame(CONTEXT, octets(2, said) + octets(3, PROTOCOL))


def status_of_root():
    header = octets(1, b"getFileInfo") + octets(2, PROTOCOL) + number(3, 1)
    return frame(0, header, octets(1, b"/m/f"))


class Refused(Exception):
    pass


class Line:
    """A connection after its preamble; all that was sent is kept."""

    def __init__(self):
        self.socket = socket.create_connection(("localhost", PORT), timeout=60)
        self.sent = b""
        self.send(b"hrpc\x09\x00\xdf")

    def send(self, data):
        self.sent += data
        self.socket.sendall(data)

    def octets(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise Refused("the connection was closed")
            data += more
        return data

    def read(self):
        """The header's fields, and the message after it."""
        data = self.octets(struct.unpack(">I", self.octets(4))[0])
        parts, at = [], 0
        while at < len(data):
            length, at = number_at(data, at)
            parts.append(data[at : at + length])
            at += length
        header = fields(parts[0])
        if header.get(2, 0) != 0:
            raise Refused(f"{header[4].decode()}: {header[5].decode()}")
        return header, parts[1] if len(parts) > 1 else b""

    def step(self, *said):
        self.send(sasl(*said))
        return fields(self.read()[1])

    def call(self):
        self.send(status_of_root())
        return self.read()

    def offered(self):
        """The challenge for tokens."""
        ways = [fields(way) for way in self.step(NEGOTIATE)[("all", 4)]]
        assert [way[1] for way in ways] == [b"TOKEN", b"KERBEROS"], ways
        assert (ways[1][2], ways[1][3], ways[1][4]) == (b"GSSAPI", b"nn", b"localhost"), ways
        return ways[0][5].decode()


def ticket(service="nn@localhost"):
    flags = (
        kerberos.GSS_C_MUTUAL_FLAG
        | kerberos.GSS_C_SEQUENCE_FLAG
        | kerberos.GSS_C_REPLAY_FLAG
        | kerberos.GSS_C_INTEG_FLAG
        | kerberos.GSS_C_CONF_FLAG
    )
    _, client = kerberos.authGSSClientInit(service, gssflags=flags, mech_oid=kerberos.GSS_MECH_OID_KRB5)
    kerberos.authGSSClientStep(client, "")
    return client, said(client)


def said(client):
    return base64.b64decode(kerberos.authGSSClientResponse(client) or "")


def sealed(client, data, private=0):
    kerberos.authGSSClientWrap(client, base64.b64encode(data).decode(), None, private)
    return said(client)


def by_ticket(choice):
    """A line on which somebody with a ticket has chosen a protection."""
    line = Line()
    line.offered()
    client, token = ticket()
    answer = line.step(INITIATE, token, b"KERBEROS")
    kerberos.authGSSClientStep(client, base64.b64encode(answer[3]).decode())
    offer = line.step(RESPONSE, b"")
    kerberos.authGSSClientUnwrap(client, base64.b64encode(offer[3]).decode())
    assert said(client)[0] == 3, said(client)
    answer = line.step(RESPONSE, sealed(client, bytes([choice, 0, 255, 255])))
    assert answer[2] == SUCCESS, answer
    return line, client


def response(challenge, identifier, password):
    nonce = challenge.split('nonce="')[1].split('"')[0]
    user, secret = (base64.b64encode(part).decode() for part in (identifier, password))
    md5 = lambda data: hashlib.md5(data)
    start = md5(f"{user}:default:{secret}".encode()).digest()
    one = md5(start + f":{nonce}:cnonce".encode()).hexdigest()
    two = md5(b"AUTHENTICATE:/default").hexdigest()
    proof = md5(f"{one}:{nonce}:00000001:cnonce:auth:{two}".encode()).hexdigest()
    return (
        f'charset=utf-8,username="{user}",realm="default",nonce="{nonce}",nc=00000001,cnonce="cnonce",'
        f'digest-uri="/default",response={proof},qop=auth'
    ).encode()


def refused(words, what):
    try:
        what()
    except Refused as error:
        assert words in str(error), f"{error}, and not {words}"
        return
    raise AssertionError(f"not refused: {words}")


def unserved(line, words="nobody waits for"):
    """Refused, and the connection is closed after that."""
    refused(words, line.read)
    refused("closed", line.read)


def case_ticket():
    line, _ = by_ticket(1)
    line.send(context("alice"))
    assert line.call()[1]
    # One who has come in does not come in again.
    line.send(sasl(NEGOTIATE))
    unserved(line, "no message of Hadoop's")
    # A token that was seen on its way is of no use, nor a ticket for another service, nor a changed one.
    _, token = ticket()
    assert Line().step(INITIATE, token, b"KERBEROS")[2] == CHALLENGE
    refused("replay", lambda: Line().step(INITIATE, token, b"KERBEROS"))
    _, other = ticket("HTTP@localhost")
    refused("and not for nn/<host>", lambda: Line().step(INITIATE, other, b"KERBEROS"))
    for at in range(0, len(token), 37):
        refused("AccessControlException", lambda: Line().step(INITIATE, token[:at], b"KERBEROS"))
        broken = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        refused("AccessControlException", lambda: Line().step(INITIATE, broken, b"KERBEROS"))
    refused("No common protection", lambda: by_ticket(4))


def case_order():
    for first in [sasl(RESPONSE, b""), sasl(WRAP, b"x"), sasl(SUCCESS), sasl(INITIATE, b"", b"TOKEN"), sasl(INITIATE, b"", b"NONE")]:
        line = Line()
        line.send(first)
        refused("SaslException", line.read)
    line = Line()
    line.offered()
    line.send(sasl(NEGOTIATE))
    unserved(line)
    line = Line()
    line.send(frame(PING))
    unserved(line, "no message of Hadoop's")
    for name in ["alice", ""]:
        line = Line()
        line.offered()
        line.send(context(name))
        unserved(line, "SIMPLE authentication is not enabled")
    line = Line()
    refused("SIMPLE authentication is not enabled", lambda: line.step(INITIATE, None, b"SIMPLE"))
    line = Line()
    _, token = ticket()
    line.step(INITIATE, token, b"KERBEROS")
    line.send(context("alice"))
    refused("RpcServerException", line.read)
    line, _ = by_ticket(1)
    refused("before anybody said", line.call)


def case_sealed():
    def sent(what):
        line, client = by_ticket(2)
        whole = sealed(client, context("alice"))
        line.send(frame(SASL, number(2, WRAP) + octets(3, whole)))
        line.send(what(client))
        header, message = line.read()
        kerberos.authGSSClientUnwrap(client, base64.b64encode(fields(message)[3]).decode())
        return said(client)

    def wrapped(data):
        return frame(SASL, number(2, WRAP) + octets(3, data))

    assert b"Exception" not in sent(lambda client: wrapped(sealed(client, status_of_root())))
    # A frame may be spread over many messages, and one message hold several.
    pieces = lambda client: b"".join(wrapped(sealed(client, bytes([byte]))) for byte in status_of_root())
    assert b"Exception" not in sent(pieces)
    for wrong in [
        lambda client: status_of_root(),
        lambda client: wrapped(status_of_root()),
        lambda client: wrapped(b""),
        lambda client: wrapped(sealed(client, status_of_root())[:-1] + b"x"),
        lambda client: (sealed(client, b"left out"), wrapped(sealed(client, status_of_root())))[1],
    ]:
        answer = sent(wrong)
        assert b"not sealed as was agreed" in answer, answer
    again = lambda client: 2 * wrapped(sealed(client, b""))
    assert b"not sealed as was agreed" in sent(again)


def case_cut():
    line, _ = by_ticket(1)
    line.send(context("alice"))
    line.call()
    whole = line.sent
    for end in range(0, len(whole), 11):
        with socket.create_connection(("localhost", PORT), timeout=60) as cut:
            cut.sendall(whole[:end])
    assert by_ticket(1)


def case_token():
    identifier, password = (base64.b64decode(part) for part in os.environ["TOKEN"].split(":"))

    def let_in(identifier, password, user=""):
        line = Line()
        answer = line.step(INITIATE, response(line.offered(), identifier, password), b"TOKEN")
        assert answer[2] == SUCCESS and answer[3].startswith(b"rspauth="), answer
        line.send(context(user))
        return line.call()

    assert let_in(identifier, password)[1] and let_in(identifier, password, "alice")[1]
    refused("doesn't match what the client claims to be (bob)", lambda: let_in(identifier, password, "bob"))
    refused("SaslException", lambda: let_in(identifier, password[:-1] + b"x"))
    refused("SaslException", lambda: let_in(identifier.replace(b"alice", b"admin"), password))
    for odd in [b"", b"\0", identifier[:-1], identifier + b"\0"]:
        refused("SecretManager$InvalidToken", lambda: let_in(odd, password))
    # An answer that was seen on its way fits no other challenge.
    line = Line()
    seen = response(line.offered(), identifier, password)
    line.step(INITIATE, seen, b"TOKEN")
    line = Line()
    line.offered()
    refused("another challenge", lambda: line.step(INITIATE, seen, b"TOKEN"))
    for end in range(0, len(seen), 7):
        line = Line()
        line.offered()
        refused("SaslException", lambda: line.step(INITIATE, seen[:end], b"TOKEN"))


def case_no_token():
    """One that was good, and is not any more."""
    identifier, password = (base64.b64decode(part) for part in os.environ["TOKEN"].split(":"))
    line = Line()
    shown = response(line.offered(), identifier, password)
    refused("SecretManager$InvalidToken: the delegation token was cancelled", lambda: line.step(INITIATE, shown, b"TOKEN"))


def case_stranger():
    """With a ticket of a realm of the same name that has other keys."""
    _, token = ticket()
    refused("the Kerberos ticket is refused", lambda: Line().step(INITIATE, token, b"KERBEROS"))


PORT = int(sys.argv[1])
globals()[f"case_{sys.argv[2]}"]()
