"""What the Python scenarios share: arguments, a deadline, checks, and a pika connection.

Arguments are `key=value` words (`host`, `amqp`, `run`, `deadline`). Exit codes: 0 passed, 1 failed, 3 the
deadline passed.
"""

import faulthandler
import os
import sys
import threading
import time
import traceback

import pika


class Scenario:
    def __init__(self, argv):
        self.args = dict(word.split("=", 1) for word in argv)
        self.host = self.args.get("host", "127.0.0.1")
        self.port = int(self.args.get("amqp", "5672"))

    def name(self, base):
        """A name of this run, for brokers that outlive one scenario."""
        return base + self.args.get("run", "")

    def parameters(self, **options):
        options.setdefault("heartbeat", 30)
        return pika.ConnectionParameters(self.host, self.port, **options)

    def open(self, **options):
        return pika.BlockingConnection(self.parameters(**options))

    def ok(self, what):
        print("ok", what, flush=True)

    def check(self, holds, what):
        if not holds:
            raise AssertionError(what)

    def equal(self, expected, actual, what):
        if expected != actual:
            raise AssertionError(f"{what}: expected {expected!r}, found {actual!r}")

    def closes_channel(self, connection, code, text, action):
        """`action(channel)` must close its channel with exactly this code and text."""
        channel = connection.channel()
        try:
            action(channel)
            # An asynchronous refusal (a publish, an ack) arrives before the answer to a request behind it.
            channel.queue_declare("", exclusive=True)
        except pika.exceptions.ChannelClosedByBroker as closed:
            self.equal((code, text), (closed.reply_code, closed.reply_text), "channel close")
            self.ok(f"{code} {text}")
            return
        raise AssertionError(f"the channel stays open where it must close with {code} {text}")

    def closes_connection(self, code, text, action):
        """`action(connection)` must close its connection with exactly this code and text."""
        try:
            connection = self.open()
            action(connection)
            connection.channel().queue_declare("", exclusive=True)
        except pika.exceptions.ConnectionClosedByBroker as closed:
            self.equal((code, text), (closed.reply_code, closed.reply_text), "connection close")
            self.ok(f"{code} {text}")
            return
        raise AssertionError(f"the connection stays open where it must close with {code} {text}")

    def get(self, channel, queue, **options):
        """The next message of a queue; waits for it up to five seconds."""
        end = time.monotonic() + 5
        while True:
            method, properties, body = channel.basic_get(queue, **options)
            if method is not None:
                return method, properties, body
            if time.monotonic() > end:
                raise AssertionError(f"queue {queue!r} stays empty")
            time.sleep(0.01)

    def bodies(self, channel, queue, count):
        """The bodies of exactly `count` messages; the queue is then empty."""
        found = [self.get(channel, queue, auto_ack=True)[2] for _ in range(count)]
        self.empty(channel, queue)
        return found

    def empty(self, channel, queue):
        method, _, body = channel.basic_get(queue, auto_ack=True)
        self.check(method is None, f"queue {queue!r} still holds {body!r}")

    def ready(self, channel, queue):
        return channel.queue_declare(queue, passive=True).method.message_count

    def until(self, what, seconds, holds):
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"in {seconds} s not seen: {what}")
            time.sleep(0.02)


def run(*parts):
    """Runs the parts of a scenario in order and ends the process with the verdict."""
    scenario = Scenario(sys.argv[1:])
    deadline = int(scenario.args.get("deadline", "60"))

    def expire():
        print(f"FAILED deadline of {deadline} s passed at:", flush=True)
        faulthandler.dump_traceback(sys.stdout)
        sys.stdout.flush()
        os._exit(3)

    timer = threading.Timer(deadline, expire)
    timer.daemon = True
    timer.start()
    code = 0
    try:
        for part in parts:
            part(scenario)
        print("passed")
    except BaseException as reason:
        print("FAILED", part.__name__, repr(reason))
        traceback.print_exc(file=sys.stdout)
        code = 1
    sys.stdout.flush()
    os._exit(code)
