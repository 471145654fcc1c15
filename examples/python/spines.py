"""A small client of the Spines daemon: datagram and stream sockets, and any request.

Python 3.8 and later, standard library only. It speaks the protocol of spines-client/PROTOCOL.md
over the daemon's Unix socket, from one thread: whoever waits for something reads frames, and what
they bring for others is kept until those ask. Not for high rates; a beginning for those who need
one in another language.

    with Spines("/run/spines/spines.sock") as spines:
        print(spines.request("resolve", name="node-2"))
        stream = spines.connect("node-2", 7000)
        stream.send(b"hello")
        print(stream.recv())
"""

import socket
import struct
from collections import deque

PROTOCOL_VERSION = 1
HELLO, WELCOME, REQUEST, REPLY, EVENT = 0x01, 0x02, 0x03, 0x04, 0x05
SEND, RECV, BLOCKED, WRITABLE = 0x10, 0x11, 0x12, 0x13
STREAM_DATA, STREAM_CREDIT, STREAM_END, STREAM_RESET = 0x20, 0x21, 0x22, 0x23
# Bytes that either side may send on a new stream before it has got any credit.
CREDIT_INITIAL = 262_144
STREAM_DATA_MAX = 65_536
FRAME_LENGTH_MAX = 262_144


class SpinesError(Exception):
    """What the daemon refused, with its code, as in ECONNREFUSED."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


# ---------------------------------------------------------------- msgpack, as much as is needed


def pack(value):
    """Bytes of None, bool, int, float, str, bytes, list or dict."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        if 0 <= value < 1 << 32:
            return struct.pack(">BI", 0xCE, value)
        return struct.pack(">Bq", 0xD3, value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xCB, value)
    if isinstance(value, str):
        text = value.encode()
        return struct.pack(">BI", 0xDB, len(text)) + text
    if isinstance(value, (bytes, bytearray)):
        return struct.pack(">BI", 0xC6, len(value)) + value
    if isinstance(value, (list, tuple)):
        return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(pack, value))
    items = b"".join(pack(key) + pack(item) for key, item in value.items())
    return struct.pack(">BI", 0xDF, len(value)) + items


_FIXED = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
          0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_SIZED = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I",
          0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}


def unpack(data, at=0):
    """The value at `at`, and where it ends. ValueError for what is none."""
    kind = data[at]
    at += 1
    if kind < 0x80:
        return kind, at
    if kind >= 0xE0:
        return kind - 256, at
    if kind in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[kind], at
    if kind in _FIXED:
        form = _FIXED[kind]
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if kind < 0x90:
        return _map(data, at, kind & 15)
    if kind < 0xA0:
        return _list(data, at, kind & 15)
    if kind < 0xC0:
        return _text(data, at, kind & 31)
    if kind not in _SIZED:
        raise ValueError(f"msgpack of kind {kind:#x}")
    form = _SIZED[kind]
    size = struct.unpack_from(form, data, at)[0]
    at += struct.calcsize(form)
    if kind <= 0xC6:
        return bytes(data[at:at + size]), at + size
    if kind <= 0xDB:
        return _text(data, at, size)
    return _list(data, at, size) if kind <= 0xDD else _map(data, at, size)


def _text(data, at, size):
    return bytes(data[at:at + size]).decode(), at + size


def _list(data, at, size):
    items = []
    for _ in range(size):
        item, at = unpack(data, at)
        items.append(item)
    return items, at


def _map(data, at, size):
    items = {}
    for _ in range(size):
        key, at = unpack(data, at)
        items[key], at = unpack(data, at)
    return items, at


# ---------------------------------------------------------------- the daemon


def quad(node):
    """A node id as people write it."""
    return ".".join(str(byte) for byte in struct.pack(">I", node))


class Spines:
    """A connection to the daemon. `events`: what it told that nobody asked for."""

    def __init__(self, path, name="python"):
        self._io = socket.socket(socket.AF_UNIX)
        self._io.connect(path)
        self._requests = 0
        self._sockets = 0
        self._replies = {}
        self._open = {}
        self.events = deque(maxlen=1_000)
        self.welcome = None
        self._frame(HELLO, pack({"version": PROTOCOL_VERSION, "client": name}))
        while self.welcome is None:
            self._read()
        if self.welcome["version"] != PROTOCOL_VERSION:
            raise SpinesError("EPROTO", f"the daemon speaks version {self.welcome['version']}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._io.close()

    def request(self, op, **arguments):
        """What the daemon answers. SpinesError with its code where it refuses."""
        self._requests += 1
        number = self._requests
        self._frame(REQUEST, pack({"id": number, "op": op, **arguments}))
        while number not in self._replies:
            self._read()
        reply = self._replies.pop(number)
        if not reply["ok"]:
            raise SpinesError(reply["code"], reply["message"])
        return reply

    def datagram(self, port=0, **options):
        """A datagram socket; options as in PROTOCOL.md: link, routing, secrecy, ttl, priority."""
        return Datagram(self, port, options)

    def listen(self, port=0, **options):
        return Listener(self, port, options)

    def connect(self, node, port, **options):
        """A stream to that port. SpinesError ECONNREFUSED, ETIMEDOUT and others."""
        number = self._number()
        self.request("socket", socket=number, kind="stream", **_modes(options))
        stream = Stream(self, number)
        stream.peer = self.request("connect", socket=number, node=node, port=port)
        return stream

    def _number(self):
        self._sockets += 1
        return self._sockets

    def _frame(self, kind, *parts):
        body = b"".join(parts)
        self._io.sendall(struct.pack(">IB", len(body) + 1, kind) + body)

    def _exactly(self, count):
        data = bytearray()
        while len(data) < count:
            more = self._io.recv(count - len(data))
            if not more:
                raise SpinesError("ECONNRESET", "the daemon closed the connection")
            data += more
        return data

    def _read(self):
        """One frame, to whoever it is for."""
        length, kind = struct.unpack(">IB", self._exactly(5))
        if not 1 <= length <= FRAME_LENGTH_MAX:
            raise SpinesError("EPROTO", f"a frame of {length} bytes")
        body = self._exactly(length - 1)
        if kind == WELCOME:
            self.welcome = unpack(body)[0]
        elif kind == REPLY:
            reply = unpack(body)[0]
            self._replies[reply["id"]] = reply
        elif kind == EVENT:
            self._event(unpack(body)[0])
        else:
            number = struct.unpack_from(">I", body)[0]
            if number in self._open:
                self._open[number]._on(kind, body)

    def _event(self, event):
        what = event["event"]
        if what == "accepted" and event["listener"] in self._open:
            event["stream"] = Stream(self, event["socket"])
            self._open[event["listener"]].accepted.append(event)
        elif what == "streamClosed" and event["socket"] in self._open:
            self._open.pop(event["socket"]).closed(event)
        elif what == "closing":
            raise SpinesError(event["code"], event["message"])
        else:
            self.events.append(event)


def _modes(options):
    return {"link": "best-effort", "routing": "link-state", **options}


class Datagram:
    def __init__(self, spines, port, options):
        self._spines = spines
        self._number = spines._number()
        self._received = deque()
        self._blocked = False
        spines._open[self._number] = self
        spines.request("socket", socket=self._number, kind="datagram", **_modes(options))
        self.port = spines.request("bind", socket=self._number, port=port)["port"]

    def send_to(self, message, node, port):
        """`node`: a dotted quad, or a name. Waits while the network is full."""
        while self._blocked:
            self._spines._read()
        if not node.replace(".", "").isdigit():
            node = self._spines.request("resolve", name=node)["node"]
        head = struct.pack(">I4sHH", self._number, socket.inet_aton(node), port, 0)
        self._spines._frame(SEND, head, message)

    def recv_from(self):
        """A message, and node and port that it came from."""
        while not self._received:
            self._spines._read()
        return self._received.popleft()

    def close(self):
        self._spines.request("close", socket=self._number)
        self._spines._open.pop(self._number, None)

    def _on(self, kind, body):
        if kind == RECV:
            _, node, port, _ = struct.unpack_from(">IIHH", body)
            self._received.append((bytes(body[12:]), quad(node), port))
        elif kind in (BLOCKED, WRITABLE):
            self._blocked = kind == BLOCKED


class Listener:
    def __init__(self, spines, port, options):
        self._spines = spines
        self._number = spines._number()
        self.accepted = deque()
        spines._open[self._number] = self
        spines.request("socket", socket=self._number, kind="stream", **_modes(options))
        self.port = spines.request("listen", socket=self._number, port=port)["port"]

    def accept(self):
        """A stream, and node and port that it came from."""
        while not self.accepted:
            self._spines._read()
        event = self.accepted.popleft()
        return event["stream"], event["node"], event["port"]

    def _on(self, kind, body):
        pass


class Stream:
    def __init__(self, spines, number):
        self._spines = spines
        self._number = number
        self._received = deque()
        self._credit = CREDIT_INITIAL
        self._ended = False
        self._closed = None
        self.peer = None
        spines._open[number] = self

    def send(self, data):
        """All of it; waits while the far end does not take it."""
        at = 0
        while at < len(data):
            while self._credit == 0 and self._closed is None:
                self._spines._read()
            self._fail()
            piece = data[at:at + min(self._credit, STREAM_DATA_MAX)]
            self._credit -= len(piece)
            self._spines._frame(STREAM_DATA, struct.pack(">I", self._number), piece)
            at += len(piece)

    def recv(self):
        """Some bytes; none at the end of what the far end sends."""
        while not self._received and not self._ended and self._closed is None:
            self._spines._read()
        if self._received:
            data = self._received.popleft()
            if self._closed is None:
                credit = struct.pack(">II", self._number, len(data))
                self._spines._frame(STREAM_CREDIT, credit)
            return data
        if not self._ended:
            self._fail()
        return b""

    def end(self):
        """No more data from this side."""
        self._spines._frame(STREAM_END, struct.pack(">I", self._number))

    def closed(self, event):
        self._closed = event

    def _fail(self):
        if self._closed is not None and "code" in self._closed:
            raise SpinesError(self._closed["code"], self._closed["message"])

    def _on(self, kind, body):
        if kind == STREAM_DATA:
            self._received.append(bytes(body[4:]))
        elif kind == STREAM_CREDIT:
            self._credit += struct.unpack_from(">I", body, 4)[0]
        elif kind == STREAM_END:
            self._ended = True
