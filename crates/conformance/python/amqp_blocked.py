"""connection.blocked and unblocked: a server with little memory blocks who publishes, and nobody else.

To be run with a memory limit of the server that a few tens of megabytes exceed.
"""

import struct

from scenario import run

BODY_BYTES = 20_000
# Far more than the limit; an alarm that never comes is noticed here.
PUBLISHED_MAX = 10_000


def body(number):
    return struct.pack(">I", number) * (BODY_BYTES // 4)


def watched(s):
    """A connection, and the list of what it is told about alarms."""
    told = []
    connection = s.open()
    connection.add_on_connection_blocked_callback(lambda c, frame: told.append(frame.method.reason))
    connection.add_on_connection_unblocked_callback(lambda c, frame: told.append("over"))
    return connection, told


def publishers_are_blocked_until_consumers_have_drained(s):
    publisher, told = watched(s)
    channel = publisher.channel()
    queue = s.name("blocked")
    channel.queue_declare(queue, durable=False)
    published = 0
    while not told:
        s.check(published < PUBLISHED_MAX, "the alarm never came")
        channel.basic_publish("", queue, body(published))
        published += 1
        publisher.process_data_events(0)
    s.equal(["low on memory"], told, "connection.blocked")
    s.ok(f"blocked after {published} messages of {BODY_BYTES} bytes")

    # A connection made under the alarm may do everything but publish.
    consumer, consumer_told = watched(s)
    drain = consumer.channel()
    s.check(s.ready(drain, queue) > 0, "messages wait")
    s.equal([], consumer_told, "a connection that only consumes")
    late, late_told = watched(s)
    late_channel = late.channel()
    late_queue = late_channel.queue_declare("", exclusive=True).method.queue
    s.equal([], late_told, "nothing was published on it yet")
    late_channel.basic_publish("", late_queue, b"late")
    s.until("the late one is blocked", 5, lambda: late.process_data_events(0.02) or late_told)
    s.equal(["low on memory"], late_told, "the first publish shows a publisher")
    s.ok("who only consumes is not blocked, who publishes later is")

    drain.basic_qos(prefetch_count=50)
    seen = []

    def take(channel, method, properties, content):
        seen.append(content)
        channel.basic_ack(method.delivery_tag)

    drain.basic_consume(queue, take)

    def is_over():
        consumer.process_data_events(0.02)
        publisher.process_data_events(0)
        return told[-1] == "over"

    s.until("the alarm is over", 20, is_over)
    s.equal(["low on memory", "over"], told, "told once each")
    s.until("for the late one, too", 5, lambda: late.process_data_events(0.02) or late_told[-1] == "over")
    s.equal([b"late"], s.bodies(late_channel, late_queue, 1), "what the late one published")
    s.ok(f"unblocked after {len(seen)} messages were consumed")

    for _ in range(100):
        channel.basic_publish("", queue, body(published))
        published += 1
        publisher.process_data_events(0)
    s.until("everything", 20, lambda: consumer.process_data_events(0.02) or len(seen) == published)
    s.check(seen == [body(n) for n in range(published)], "each message once, whole and in order")
    s.equal([], consumer_told, "the consumer heard of nothing")
    for connection in (publisher, consumer, late):
        connection.close()
    s.ok(f"publishing goes on; {published} messages, nothing lost")


run(publishers_are_blocked_until_consumers_have_drained)
