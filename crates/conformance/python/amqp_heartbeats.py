"""Heartbeats: the server sends them, keeps a quiet client that answers, and drops a silent one."""

import socket
import struct
import time

from scenario import run


def kept_alive(s):
    connection = s.open(heartbeat=1)
    channel = connection.channel()
    end = time.monotonic() + 4
    while time.monotonic() < end:
        connection.process_data_events(0.2)
    channel.queue_declare("", exclusive=True)
    connection.close()
    s.ok("an idle connection with heartbeats of 1 s lives")


def read_frame(stream):
    kind, channel, size = struct.unpack(">BHI", stream.read(7))
    payload = stream.read(size)
    assert stream.read(1) == b"\xce"
    return kind, channel, payload


def dropped(s):
    """A client that says nothing after connection.open gets heartbeats and is then cut off."""
    with socket.create_connection((s.host, s.port), timeout=10) as sock:
        stream = sock.makefile("rb")

        def method(class_id, method_id, arguments):
            payload = struct.pack(">HH", class_id, method_id) + arguments
            sock.sendall(struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce")

        sock.sendall(b"AMQP\x00\x00\x09\x01")
        s.equal((1, 0, b"\x00\x0a\x00\x0a"), (lambda f: (f[0], f[1], f[2][:4]))(read_frame(stream)), "start")
        method(10, 11, struct.pack(">I", 0) + b"\x05PLAIN" + struct.pack(">I", 12) + b"\0guest\0guest" + b"\x05en_US")
        s.equal(b"\x00\x0a\x00\x1e", read_frame(stream)[2][:4], "tune")
        method(10, 31, struct.pack(">HIH", 2047, 131072, 1))
        method(10, 40, b"\x01/\x00\x00")
        s.equal(b"\x00\x0a\x00\x29", read_frame(stream)[2][:4], "open-ok")
        began = time.monotonic()
        beats = 0
        try:
            while True:
                header = stream.read(8)
                if len(header) < 8:
                    break
                s.equal(b"\x08\x00\x00\x00\x00\x00\x00\xce", header, "heartbeat frame")
                beats += 1
        except ConnectionResetError:
            pass
        lasted = time.monotonic() - began
    s.check(beats >= 1, "no heartbeat came")
    s.check(1.5 <= lasted <= 6, f"dropped after {lasted:.1f} s")
    s.ok(f"a silent client gets {beats} heartbeats and is dropped")


def bad_header(s):
    with socket.create_connection((s.host, s.port), timeout=10) as sock:
        sock.sendall(b"AMQP\x00\x00\x09\x09")
        s.equal(b"AMQP\x00\x00\x09\x01", sock.makefile("rb").read(8), "answer to an unknown version")
    s.ok("an unknown protocol version is answered with ours")


run(kept_alive, dropped, bad_header)
