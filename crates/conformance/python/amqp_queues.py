"""Exclusive, auto-delete, server-named queues; consumer cancel notification; survival of a restart is elsewhere."""

import socket

import pika

from scenario import run


def server_named(s):
    connection = s.open()
    channel = connection.channel()
    name = channel.queue_declare("", exclusive=True).method.queue
    s.check(name.startswith("amq.gen-") and len(name) == 30, f"server-named queue {name!r}")
    # An empty name means the queue declared last on this channel, its key too.
    channel.queue_bind("", "amq.direct")
    channel.basic_publish("amq.direct", name, b"by the name as key")
    s.equal([b"by the name as key"], s.bodies(channel, "", 1), "empty queue name")
    tag = channel.basic_consume("", lambda *a: None)
    s.check(tag, "consumer tag")
    connection.close()
    s.ok("server-named queue")


def exclusive(s):
    connection = s.open()
    other = s.open()
    queue = s.name("exclusive")
    channel = connection.channel()
    channel.queue_declare(queue, exclusive=True)
    text = (f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could "
            "be originally declared on another connection or the exclusive property value does not match that of "
            "the original declaration.")
    s.closes_channel(other, 405, text, lambda c: c.queue_declare(queue, exclusive=True))
    s.closes_channel(other, 405, text, lambda c: c.queue_declare(queue, passive=True))
    s.closes_channel(other, 405, text, lambda c: c.basic_get(queue))
    s.closes_channel(other, 405, text, lambda c: c.basic_consume(queue, lambda *a: None))
    s.closes_channel(other, 405, text, lambda c: c.queue_delete(queue))
    connection.close()
    watch = other.channel()
    s.until("the exclusive queue goes with its connection", 5, lambda: missing(s, other, queue))
    watch.close()
    other.close()
    s.ok("exclusive queue")


def missing(s, connection, queue):
    channel = connection.channel()
    try:
        channel.queue_declare(queue, passive=True)
        channel.close()
        return False
    except pika.exceptions.ChannelClosedByBroker as closed:
        s.equal(404, closed.reply_code, "passive declare")
        return True


def auto_delete(s):
    connection = s.open()
    channel = connection.channel()
    queue = s.name("autodelete")
    channel.queue_declare(queue, auto_delete=True)
    s.check(not missing(s, connection, queue), "an auto-delete queue waits for its first consumer")
    one = channel.basic_consume(queue, lambda *a: None)
    two = channel.basic_consume(queue, lambda *a: None)
    s.equal(2, channel.queue_declare(queue, passive=True).method.consumer_count, "consumer count")
    channel.basic_cancel(one)
    s.check(not missing(s, connection, queue), "one consumer is left")
    channel.basic_cancel(two)
    s.until("the queue goes with its last consumer", 5, lambda: missing(s, connection, queue))
    connection.close()
    s.ok("auto-delete queue")


def auto_delete_exchange(s):
    connection = s.open()
    channel = connection.channel()
    name = s.name("autodelete-x")
    channel.exchange_declare(name, "fanout", auto_delete=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, name)
    channel.exchange_declare(name, "fanout", passive=True)
    channel.queue_unbind(queue, name)
    s.closes_channel(connection, 404, f"NOT_FOUND - no exchange '{name}' in vhost '/'",
                     lambda c: c.exchange_declare(name, passive=True))
    connection.close()
    s.ok("auto-delete exchange")


def cancelled_by_server(s):
    connection = s.open()
    channel = connection.channel()
    queue = s.name("cancelled")
    channel.queue_declare(queue)
    gone = []
    channel.add_on_cancel_callback(lambda frame: gone.append(frame.method.consumer_tag))
    channel.basic_consume(queue, lambda *a: None, consumer_tag="watching")
    killer = s.open()
    killer.channel().queue_delete(queue)
    killer.close()
    s.until("basic.cancel", 5, lambda: connection.process_data_events(0.05) or gone == ["watching"])
    connection.close()
    s.ok("the server cancels consumers of a deleted queue")


def exclusive_consumer(s):
    connection = s.open()
    channel = connection.channel()
    queue = s.name("exclusive-consumer")
    channel.queue_declare(queue)
    text = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    tag = channel.basic_consume(queue, lambda *a: None, exclusive=True)
    s.closes_channel(connection, 403, text, lambda c: c.basic_consume(queue, lambda *a: None))
    channel.basic_cancel(tag)
    channel.basic_consume(queue, lambda *a: None)
    s.closes_channel(connection, 403, text,
                     lambda c: c.basic_consume(queue, lambda *a: None, exclusive=True))
    channel.queue_delete(queue)
    connection.close()
    s.ok("exclusive consumer")


def connection_loss_requeues(s):
    connection = s.open()
    channel = connection.channel()
    queue = s.name("loss")
    channel.queue_declare(queue, durable=True)
    for n in range(3):
        channel.basic_publish("", queue, b"%d" % n)
    s.get(channel, queue)
    s.get(channel, queue)
    connection._impl._transport._sock.shutdown(socket.SHUT_RDWR)
    other = s.open()
    watch = other.channel()
    s.until("three ready again", 5, lambda: s.ready(watch, queue) == 3)
    found = [(m.redelivered, b) for m, _, b in (s.get(watch, queue, auto_ack=True) for _ in range(3))]
    s.equal([(True, b"0"), (True, b"1"), (False, b"2")], found, "after a lost connection")
    watch.queue_delete(queue)
    other.close()
    s.ok("a lost connection returns what it held")


run(server_named, exclusive, auto_delete, auto_delete_exchange, cancelled_by_server, exclusive_consumer,
    connection_loss_requeues)
