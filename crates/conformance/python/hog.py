"""Fills the server's memory until publishers are told to rest, and empties it again when told to.

It says READY when the alarm is there to stay, and ends when everything it published has come back. To be run with a
memory limit of the server that a few tens of megabytes exceed, beside other load.
"""

import struct
import time

from scenario import run

BODY_BYTES = 20_000
# An alarm that is over sooner was about memory that the server has given back meanwhile.
STAYS_S = 3
# Far more than the limit; an alarm that never comes is noticed here.
PUBLISHED_MAX = 10_000


def fill_and_empty(s):
    told = []
    publisher = s.open()
    publisher.add_on_connection_blocked_callback(lambda c, frame: told.append(frame.method.reason))
    publisher.add_on_connection_unblocked_callback(lambda c, frame: told.append("over"))
    channel = publisher.channel()
    queue = s.name("hog")
    channel.queue_declare(queue, durable=False)
    published = 0
    since = None
    while since is None or time.monotonic() < since + STAYS_S:
        if told and told[-1] != "over":
            since = since or time.monotonic()
            publisher.process_data_events(0.1)
            continue
        since = None
        s.check(published < PUBLISHED_MAX, "the alarm never came")
        channel.basic_publish("", queue, struct.pack(">I", published) * (BODY_BYTES // 4))
        published += 1
        publisher.process_data_events(0)
    s.equal({"low on memory"}, set(told) - {"over"}, "connection.blocked")
    print("READY", flush=True)
    input()
    consumer = s.open()
    drain = consumer.channel()
    drain.basic_qos(prefetch_count=50)
    seen = []

    def take(channel, method, properties, content):
        seen.append(struct.unpack(">I", content[:4])[0])
        channel.basic_ack(method.delivery_tag)

    drain.basic_consume(queue, take)
    # What was blocked on its way arrives when the alarm is over.
    s.until(
        "everything has come",
        60,
        lambda: consumer.process_data_events(0.02)
        or publisher.process_data_events(0)
        or len(seen) == published,
    )
    s.equal(list(range(published)), seen, "in order and once")
    s.equal("over", told[-1], "connection.unblocked")
    consumer.close()
    publisher.close()


run(fill_and_empty)
