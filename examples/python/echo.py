"""Echoes over the overlay: what a datagram or stream socket sends comes back.

    python3 echo.py SOCKET serve PORT        # datagrams and streams, one after the other
    python3 echo.py SOCKET call NODE PORT    # a message of each; exits with 1 unless they come back
"""

import sys

from spines import Spines


def serve(spines, port):
    """A datagram, then a stream to its end, until the daemon goes away."""
    datagram, listener = spines.datagram(port), spines.listen(port)
    print("ready", flush=True)
    while True:
        message, node, far = datagram.recv_from()
        datagram.send_to(message, node, far)
        stream, _, _ = listener.accept()
        while True:
            data = stream.recv()
            if not data:
                break
            stream.send(data)
        stream.end()


def call(spines, node, port):
    datagram = spines.datagram(priority=7, ttl=9)
    datagram.send_to(b"a datagram", node, port)
    message, far, _ = datagram.recv_from()
    print(f"datagram from {far}: {message.decode()}")
    stream = spines.connect(node, port, link="reliable")
    piece = bytes(range(256)) * 256
    came = 0
    for _ in range(16):
        # Who sends more than both ends hold before it reads would wait for ever.
        stream.send(piece)
        back = bytearray()
        while len(back) < len(piece):
            back += stream.recv()
        came += len(back) if back == piece else 0
    stream.end()
    print(f"stream: {came} of {16 * len(piece)} bytes came back")
    return message == b"a datagram" and came == 16 * len(piece) and stream.recv() == b""


def main(path, what, *rest):
    with Spines(path, "python echo") as spines:
        print(f"connected to {spines.welcome['name']}", flush=True)
        if what == "serve":
            serve(spines, int(rest[0]))
        elif not call(spines, rest[0], int(rest[1])):
            sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
