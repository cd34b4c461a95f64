"""Clients that want more than their share, and one that behaves and measures what they do to it.

    python3 crates/conformance/hostile.py target/release/troika [--seconds 10] [--home DIR]

Starts the broker on free ports of the loopback interface and on an empty directory. The well-behaved client publishes
persistent messages of 1 KB at a steady rate, consumes them with acknowledgement, waits for each confirm, and notes how
long each took from when it was due until its delivery. It does so alone, beside each kind of abuser, and beside all of
them. The directory lies in DIR; in memory, a busy disk is not measured along. Printed are p50 and p99, the broker's
resident memory, how many lines it logged, and what the abusers met. Nothing is asserted about times; that the good
client is served to the end is.

Standard library only. The wires are spoken as far as the abuse needs it.
"""

import argparse
import multiprocessing
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
RATE = 200
BODY = b"x" * 1024


def short(text):
    return bytes([len(text)]) + text.encode()


def long(data):
    return struct.pack(">I", len(data)) + data


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel, class_id, method_id, arguments=b""):
    return frame(1, channel, struct.pack(">HH", class_id, method_id) + arguments)


def declare(channel, queue, bits=2):
    """bits: passive, durable, exclusive, auto-delete, no-wait."""
    return method(channel, 50, 10, b"\0\0" + short(queue) + bytes([bits]) + long(b""))


def publish(channel, queue, body, size=None):
    header = struct.pack(">HHQHB", 60, 0, len(body) if size is None else size, 0x1000, 2)
    content = frame(3, channel, body) if body else b""
    return method(channel, 60, 40, b"\0\0" + short("") + short(queue) + b"\0") + frame(2, channel, header) + content


def consume(channel, queue, tag, no_ack=0):
    return method(channel, 60, 20, b"\0\0" + short(queue) + short(tag) + bytes([no_ack << 1]) + long(b""))


class Amqp:
    """A connection with channel 1 open."""

    def __init__(self, port, user="guest", password="guest"):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = bytearray()
        self.send(AMQP_HEADER)
        self.expect(10, 10)
        response = f"\0{user}\0{password}".encode()
        self.send(method(0, 10, 11, long(b"") + short("PLAIN") + long(response) + short("en_US")))
        self.expect(10, 30)
        self.send(method(0, 10, 31, struct.pack(">HIH", 2047, 131072, 0)))
        self.send(method(0, 10, 40, short("/") + b"\0\0"))
        self.expect(10, 41)
        self.send(method(1, 20, 10, b"\0"))
        self.expect(20, 11)

    def send(self, data):
        self.socket.sendall(data)

    def read(self):
        """The next frame: kind, channel, payload."""
        while True:
            if len(self.unread) >= 7:
                kind, channel, size = struct.unpack_from(">BHI", self.unread)
                if len(self.unread) >= size + 8:
                    payload = bytes(self.unread[7:7 + size])
                    del self.unread[:size + 8]
                    return kind, channel, payload
            data = self.socket.recv(1 << 18)
            if not data:
                raise ConnectionError("closed by the broker")
            self.unread += data

    def expect(self, class_id, method_id):
        """Skips to a method; a close in between is an error that carries its text."""
        while True:
            kind, _, payload = self.read()
            if kind != 1:
                continue
            found = struct.unpack_from(">HH", payload)
            if found == (class_id, method_id):
                return payload[4:]
            if found in ((10, 50), (20, 40)):
                code, = struct.unpack_from(">H", payload, 4)
                raise ConnectionError(payload[7:7 + payload[6]].decode(errors="replace") or str(code))


def behave(port, seconds):
    """The well-behaved client: milliseconds from before each publish until its delivery."""
    queue = "good"
    out, into = Amqp(port), Amqp(port)
    out.send(declare(1, queue))
    out.expect(50, 11)
    out.send(method(1, 85, 10, b"\0"))
    out.expect(85, 11)
    into.send(consume(1, queue, "c"))
    into.expect(60, 21)
    took = []
    begin = time.perf_counter()
    for number in range(seconds * RATE):
        due = begin + number / RATE
        time.sleep(max(0, due - time.perf_counter()))
        # From when it was due: a message that waits for the one before it is late, too.
        out.send(publish(1, queue, BODY))
        delivered = into.expect(60, 60)
        took.append((time.perf_counter() - due) * 1000)
        tag, = struct.unpack_from(">Q", delivered, 1 + delivered[0])
        into.send(method(1, 60, 80, struct.pack(">QB", tag, 0)))
        out.expect(60, 80)
    return took


def openwire_info():
    """A WireFormatInfo of version 12 without options."""
    body = b"\x01ActiveMQ" + struct.pack(">i", 12) + b"\0"
    return struct.pack(">i", len(body)) + body


# Each abuser runs in a process of its own until it is stopped, and counts what it meets.


def again(heard, work):
    """Repeats what the broker ends, noting in which words."""
    while True:
        try:
            work()
            heard["done"] = heard.get("done", 0) + 1
        except (ConnectionError, TimeoutError, OSError) as error:
            words = re.sub(r"[0-9]+|'[^']*'", "#", str(error))[:90]
            heard[words] = heard.get(words, 0) + 1
            time.sleep(0.01)


def silent(ports, heard):
    """More connections than strangers are allowed, that send as much of a frame as one may keep, and no more."""
    kept = []
    halves = {
        "amqp": AMQP_HEADER + b"\x01\0\0\0\0\x1f\xf0" + bytes(8100),
        "openwire": struct.pack(">i", 5120) + bytes(5100),
        "remoting": b"",
    }

    def work():
        for name, half in halves.items():
            opened = socket.create_connection(("127.0.0.1", ports[name]), timeout=5)
            opened.sendall(half)
            kept.append(opened)
        if len(kept) > 3000:
            kept.pop(0).close()
        time.sleep(0.002)

    again(heard, work)


def dripping(ports, heard):
    """Half a handshake, and then one byte a second, on a hundred connections."""
    kept = []

    def work():
        while len(kept) < 100:
            opened = socket.create_connection(("127.0.0.1", ports["amqp"]), timeout=5)
            kept.append((opened, AMQP_HEADER + b"\x01\0\0\0\0\x1f\xf0" + b"\0" * 9000))
        for at, (opened, rest) in enumerate(kept):
            try:
                opened.send(rest[:1])
                kept[at] = (opened, rest[1:])
            except OSError:
                kept.remove((opened, rest))
                raise ConnectionError("the handshake was ended") from None
        time.sleep(1)

    again(heard, work)


def guessing(ports, heard):
    """Wrong passwords, as fast as they are refused."""

    def work():
        opened = socket.create_connection(("127.0.0.1", ports["amqp"]), timeout=10)
        with opened:
            opened.sendall(AMQP_HEADER)
            opened.recv(4096)
            response = b"\0guest\0" + os.urandom(8)
            arguments = long(b"") + short("PLAIN") + long(response) + short("en_US")
            opened.sendall(method(0, 10, 11, arguments))
        raise ConnectionError("refused")

    again(heard, work)


def deaf(ports, heard):
    """Consumes without acknowledgement and reads nothing, over AMQP; asks and reads nothing, over OpenWire."""
    kept = []

    def work():
        client = Amqp(ports["amqp"])
        client.socket.settimeout(2)
        client.send(declare(1, "deaf"))
        client.send(consume(1, "deaf", "d", no_ack=1))
        kept.append(client)
        if len(kept) > 20:
            kept.pop(0).socket.close()
        for _ in range(2000):
            client.send(publish(1, "deaf", BODY * 20))
        pings = socket.create_connection(("127.0.0.1", ports["openwire"]), timeout=2)
        with pings:
            pings.sendall(openwire_info())
            alive = b"\x0a" + struct.pack(">i", 7) + b"\x01"
            for _ in range(100):
                pings.sendall((struct.pack(">i", len(alive)) + alive) * 10_000)

    again(heard, work)


def hoarding(ports, heard):
    """Channels, exclusive queues, consumers and bindings without end."""

    def work():
        client = Amqp(ports["amqp"])
        for number in range(2, 2100):
            client.send(method(number, 20, 10, b"\0"))
        try:
            client.expect(255, 255)
        except ConnectionError as error:
            heard[str(error)[:60]] = heard.get(str(error)[:60], 0) + 1
        client = Amqp(ports["amqp"])
        name = f"hoard-{os.getpid()}"
        for number in range(20_000):
            client.send(declare(1, f"{name}-{number}", bits=4))
            client.expect(50, 11)
            client.send(consume(1, f"{name}-{number}", f"t{number}"))
            client.expect(60, 21)

    again(heard, work)


def crowding(ports, heard):
    """Twenty thousand consumers on one queue, each holding a message that it never acknowledges, gone at once."""

    def work():
        client = Amqp(ports["amqp"])
        queue = f"crowd-{os.getpid()}"
        client.send(declare(1, queue, bits=4))
        client.expect(50, 11)
        client.send(method(2, 20, 10, b"\0"))
        for number in range(1, 20_000):
            client.send(consume(1 + number % 2, queue, f"t{number}"))
            client.expect(60, 21)
            client.send(publish(1, queue, BODY))
        client.socket.close()

    again(heard, work)


def unfinished(ports, heard):
    """A large body on every channel, none of them ever whole."""

    def work():
        client = Amqp(ports["amqp"])
        for number in range(2, 2047):
            client.send(method(number, 20, 10, b"\0"))
        for number in range(2, 2047):
            client.send(publish(number, "good", BODY * 100, size=15 << 20))
        client.expect(255, 255)

    again(heard, work)


def babbling(ports, heard):
    """Bytes that are no protocol, at every port."""

    def work():
        for name in ("amqp", "openwire", "remoting", "nameserver"):
            with socket.create_connection(("127.0.0.1", ports[name]), timeout=5) as opened:
                opened.sendall(os.urandom(20_000))
                opened.recv(1000)
        time.sleep(0.005)

    again(heard, work)


ABUSERS = [silent, dripping, guessing, deaf, hoarding, crowding, unfinished, babbling]


def abuse(abuser, ports, told):
    heard = {}

    def stop(_number, _frame):
        told.put((abuser.__name__, heard))
        told.close()
        told.join_thread()
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    # What is measured is what they do to the broker, not to the cores that it shares with them.
    os.nice(19)
    abuser(ports, heard)


class Broker:
    def __init__(self, binary, home):
        self.home = tempfile.mkdtemp(prefix="hostile-", dir=home)
        environment = dict(os.environ, TROIKA__DATA_DIR=self.home, TROIKA__LOG__LEVEL="warn")
        for name in ("AMQP", "OPENWIRE", "NAMESERVER", "REMOTING", "REMOTING_VIP"):
            environment[f"TROIKA__LISTENERS__{name}"] = "0"
        self.log = open(os.path.join(self.home, "stderr"), "wb+")
        binary = os.path.abspath(binary)
        self.process = subprocess.Popen(
            [binary], env=environment, cwd=self.home, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        ready = self.process.stdout.readline()
        self.ports = {name: int(port) for name, port in re.findall(r"(\w+)=\S+:([0-9]+)", ready)}
        if "amqp" not in self.ports:
            sys.exit(f"the broker did not start: {ready}")

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+([0-9]+)", status.read())[1]) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.log.seek(0)
        lines = self.log.read().count(b"\n")
        shutil.rmtree(self.home)
        return lines


def percentile(values, of):
    return sorted(values)[min(len(values) - 1, int(len(values) * of))]


def measure(binary, home, seconds, abusers):
    broker = Broker(binary, home)
    told = multiprocessing.Queue()
    running = [multiprocessing.Process(target=abuse, args=(abuser, broker.ports, told)) for abuser in abusers]
    for process in running:
        process.start()
    if running:
        time.sleep(2)
    took = behave(broker.ports["amqp"], seconds)
    resident = broker.resident_mb()
    heard = {}
    for process in running:
        process.terminate()
    for process in running:
        name, words = told.get(timeout=60)
        heard[name] = words
        process.join()
    lines = broker.stop()
    return took, resident, heard, lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--home")
    options = parser.parse_args()
    rows = [("alone", [])] + [(abuser.__name__, [abuser]) for abuser in ABUSERS] + [("all of them", ABUSERS)]
    print(f"| beside | p50 ms | p99 ms | max ms | resident MB | log lines |\n|---|---|---|---|---|---|")
    words = {}
    for name, abusers in rows:
        took, resident, heard, lines = measure(options.binary, options.home, options.seconds, abusers)
        assert len(took) == options.seconds * RATE, "the good client was served to the end"
        p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
        print(f"| {name} | {p50:.2f} | {p99:.2f} | {max(took):.1f} | {resident:.0f} | {lines} |", flush=True)
        if len(abusers) == 1:
            words.update(heard)
    print()
    for name, heard in words.items():
        print(f"{name}:")
        for text, count in sorted(heard.items(), key=lambda pair: -pair[1])[:4]:
            print(f"  {count} x {text}")


if __name__ == "__main__":
    main()
