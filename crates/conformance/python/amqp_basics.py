"""Publish with confirms, get, consume, ack, nack, reject, requeue order, recover, qos, large bodies."""

import pika

from scenario import run

PERSISTENT = pika.BasicProperties(delivery_mode=2)


def publish_confirm_get(s):
    connection = s.open()
    channel = connection.channel()
    queue = s.name("basics")
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    for n in range(3):
        channel.basic_publish("", queue, b"m%d" % n, PERSISTENT)
    s.equal(3, s.ready(channel, queue), "ready after confirms")
    method, properties, body = channel.basic_get(queue)
    s.equal((b"m0", 1, False, "", queue, 2), (body, method.delivery_tag, method.redelivered,
            method.exchange, method.routing_key, method.message_count), "get-ok")
    s.equal(2, properties.delivery_mode, "delivery mode")
    channel.basic_ack(method.delivery_tag)
    s.equal([b"m1", b"m2"], s.bodies(channel, queue, 2), "the rest")
    connection.close()
    s.ok("publish, confirm, get, ack")


def properties_travel(s):
    connection = s.open()
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    sent = pika.BasicProperties(
        content_type="text/plain", content_encoding="utf-8", delivery_mode=1, priority=7,
        correlation_id="corr", reply_to="back", expiration="60000", message_id="mid",
        timestamp=1_700_000_000, type="kind", user_id="guest", app_id="app", cluster_id="cl",
        headers={"s": "text", "i": 7, "big": 1 << 40, "t": True, "n": None, "neg": -5,
                 "table": {"x": [1, "two", {"y": False}]}, "b": b"\x00\xff"})
    channel.basic_publish("", queue, b"", sent)
    _, got, body = s.get(channel, queue, auto_ack=True)
    s.equal(b"", body, "empty body")
    for field in ("content_type", "content_encoding", "delivery_mode", "priority", "correlation_id",
                  "reply_to", "expiration", "message_id", "timestamp", "type", "user_id", "app_id",
                  "cluster_id", "headers"):
        s.equal(getattr(sent, field), getattr(got, field), field)
    connection.close()
    s.ok("all properties and header types travel unchanged")


def consume_and_ack(s):
    connection = s.open()
    channel = connection.channel()
    queue = s.name("consumed")
    channel.queue_declare(queue)
    for n in range(10):
        channel.basic_publish("", queue, b"%d" % n)
    channel.basic_qos(prefetch_count=4)
    seen = []
    tag = channel.basic_consume(queue, lambda c, m, p, b: seen.append((m.delivery_tag, m.redelivered, b)))
    connection.process_data_events(0.5)
    s.equal([(n + 1, False, b"%d" % n) for n in range(4)], seen, "no more than the prefetch")
    channel.basic_ack(3, multiple=True)
    s.until("three more", 5, lambda: connection.process_data_events(0.05) or len(seen) == 7)
    channel.basic_nack(4, requeue=True)
    s.until("the requeued one", 5, lambda: connection.process_data_events(0.05) or len(seen) == 8)
    s.equal((8, True, b"3"), seen[7], "requeued to its place, redelivered, with a new tag")
    channel.basic_cancel(tag)
    s.equal(3, s.ready(channel, queue), "ready: 7, 8, 9")
    channel.close()
    channel = connection.channel()
    found = []
    for _ in range(7):
        method, _, body = s.get(channel, queue, auto_ack=True)
        found.append((body, method.redelivered))
    s.equal([(b"3", True), (b"4", True), (b"5", True), (b"6", True), (b"7", False), (b"8", False),
             (b"9", False)], found, "a closed channel returns what it held, in order")
    s.empty(channel, queue)
    channel.queue_delete(queue)
    connection.close()
    s.ok("consume, prefetch, ack multiple, nack requeue, channel close")


def requeue_order(s):
    connection = s.open()
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    for n in range(5):
        channel.basic_publish("", queue, b"%d" % n)
    tags = [s.get(channel, queue)[0].delivery_tag for _ in range(4)]
    channel.basic_reject(tags[2], requeue=True)
    channel.basic_nack(tags[0], requeue=True)
    s.equal([b"0", b"2", b"4"], s.bodies(channel, queue, 3), "publish order, not return order")
    channel.basic_nack(0, multiple=True, requeue=True)
    s.equal([b"1", b"3"], s.bodies(channel, queue, 2), "nack of all outstanding")
    connection.close()
    s.ok("requeue restores the original position")


def thousands_at_once(s):
    count = 10_000
    bodies = [b"%d" % n for n in range(count)]
    connection, other = s.open(), s.open()
    channel, others = connection.channel(), other.channel()
    queue = s.name("thousands")
    channel.queue_declare(queue, durable=True)
    for body in bodies:
        channel.basic_publish("", queue, body, PERSISTENT)
    seen, later = [], []
    channel.basic_consume(queue, lambda c, m, p, b: seen.append((m.redelivered, b)))
    s.until("all of them", 30, lambda: connection.process_data_events(0.05) or len(seen) == count)
    channel.basic_nack(0, multiple=True, requeue=True)
    s.until("all again", 30, lambda: connection.process_data_events(0.05) or len(seen) == 2 * count)
    s.check([(True, body) for body in bodies] == seen[count:], "one nack returns all of them, in order")
    others.basic_consume(queue, lambda c, m, p, b: later.append((m.redelivered, b, m.delivery_tag)))
    connection.close()
    s.until("all at the other", 30, lambda: other.process_data_events(0.05) or len(later) == count)
    s.check([(True, body, n + 1) for n, body in enumerate(bodies)] == later, "a close returns all, in order")
    others.basic_ack(count, multiple=True)
    other.close()
    connection = s.open()
    s.equal(0, connection.channel().queue_delete(queue).method.message_count, "one ack settles all of them")
    connection.close()
    s.ok("ten thousand returned by one nack, by a close, and settled by one ack")


def recover(s):
    connection = s.open()
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    for n in range(3):
        channel.basic_publish("", queue, b"%d" % n)
    for _ in range(2):
        s.get(channel, queue)
    channel.basic_recover(requeue=True)
    found = [(m.redelivered, b) for m, _, b in (s.get(channel, queue, auto_ack=True) for _ in range(3))]
    s.equal([(True, b"0"), (True, b"1"), (False, b"2")], found, "after recover")
    connection.close()
    s.ok("recover")


def large_body(s):
    connection = s.open()
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.confirm_delivery()
    for size in (131_063, 131_064, 131_065, 1_000_000, 5_000_000):
        body = bytes((n * 7 + size) & 0xFF for n in range(1000)) * (size // 1000 + 1)
        channel.basic_publish("", queue, body[:size])
        _, _, got = s.get(channel, queue, auto_ack=True)
        s.check(got == body[:size], f"body of {size} bytes changed (found {len(got)})")
    connection.close()
    s.ok("bodies around one frame and of many frames")


def mandatory(s):
    connection = s.open()
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        channel.basic_publish("", s.name("nowhere"), b"lost?", mandatory=True)
        raise AssertionError("an unroutable mandatory message was accepted")
    except pika.exceptions.UnroutableError as error:
        returned = error.messages[0]
    s.equal((312, "NO_ROUTE", "", s.name("nowhere"), b"lost?"),
            (returned.method.reply_code, returned.method.reply_text, returned.method.exchange,
             returned.method.routing_key, returned.body), "basic.return")
    channel.basic_publish("", s.name("nowhere"), b"dropped")
    connection.close()
    s.ok("mandatory return")


def purge_and_delete(s):
    connection = s.open()
    channel = connection.channel()
    queue = s.name("purged")
    channel.queue_declare(queue)
    for _ in range(4):
        channel.basic_publish("", queue, b"x")
    s.until("four ready", 5, lambda: s.ready(channel, queue) == 4)
    s.get(channel, queue)
    s.equal(3, channel.queue_purge(queue).method.message_count, "purge counts ready messages only")
    channel.basic_publish("", queue, b"y")
    s.until("one ready", 5, lambda: s.ready(channel, queue) == 1)
    s.equal(1, channel.queue_delete(queue).method.message_count, "delete counts ready messages")
    s.equal(0, channel.queue_delete(queue).method.message_count, "deleting a missing queue succeeds")
    connection.close()
    s.ok("purge and delete")


def fair_sharing(s):
    connection = s.open()
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    seen = {"a": [], "b": []}
    for tag in seen:
        channel.basic_consume(queue, lambda c, m, p, b: seen[m.consumer_tag].append(b), auto_ack=True,
                              consumer_tag=tag)
    for n in range(10):
        channel.basic_publish("", queue, b"%d" % n)
    s.until("ten messages", 5,
            lambda: connection.process_data_events(0.05) or sum(map(len, seen.values())) == 10)
    s.equal([5, 5], [len(seen["a"]), len(seen["b"])], "round robin")
    connection.close()
    s.ok("two consumers share in turn")


def global_qos(s):
    connection = s.open()
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    for n in range(10):
        channel.basic_publish("", queue, b"%d" % n)
    channel.basic_qos(prefetch_count=3, global_qos=True)
    seen = []
    for tag in ("a", "b"):
        channel.basic_consume(queue, lambda c, m, p, b: seen.append(m.delivery_tag), consumer_tag=tag)
    connection.process_data_events(0.5)
    s.equal(3, len(seen), "one window for the whole channel")
    channel.basic_ack(seen[0])
    s.until("one more", 5, lambda: connection.process_data_events(0.05) or len(seen) == 4)
    connection.close()
    s.ok("global qos")


run(publish_confirm_get, properties_travel, consume_and_ack, requeue_order, thousands_at_once, recover, large_body,
    mandatory, purge_and_delete, fair_sharing, global_qos)
