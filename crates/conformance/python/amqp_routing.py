"""Direct, topic, headers and fanout routing, exchange-to-exchange bindings, alternate exchanges, CC and BCC."""

import pika

from scenario import run


def fresh(s):
    connection = s.open()
    channel = connection.channel()
    channel.confirm_delivery()
    return connection, channel


def queue(channel):
    return channel.queue_declare("", exclusive=True).method.queue


def direct(s):
    connection, channel = fresh(s)
    a, b = queue(channel), queue(channel)
    name = s.name("d")
    channel.exchange_declare(name, "direct")
    channel.queue_bind(a, name, "one")
    channel.queue_bind(b, name, "one")
    channel.queue_bind(b, name, "two")
    channel.basic_publish(name, "one", b"1")
    channel.basic_publish(name, "two", b"2")
    channel.basic_publish(name, "three", b"3")
    s.equal([b"1"], s.bodies(channel, a, 1), "a")
    s.equal([b"1", b"2"], s.bodies(channel, b, 2), "b")
    channel.queue_unbind(b, name, "one")
    channel.basic_publish(name, "one", b"4")
    s.equal([b"4"], s.bodies(channel, a, 1), "a after unbind")
    s.empty(channel, b)
    channel.exchange_delete(name)
    connection.close()
    s.ok("direct")


def fanout(s):
    connection, channel = fresh(s)
    queues = [queue(channel) for _ in range(3)]
    for q in queues:
        channel.queue_bind(q, "amq.fanout", "ignored")
        channel.queue_bind(q, "amq.fanout", "twice")
    channel.basic_publish("amq.fanout", "any", b"all")
    for q in queues:
        s.equal([b"all"], s.bodies(channel, q, 1), "one copy per queue")
    connection.close()
    s.ok("fanout")


TOPIC = [
    # pattern, keys that match, keys that do not
    ("a.b", ["a.b"], ["a", "a.b.c", "A.b"]),
    ("a.*", ["a.b", "a."], ["a", "a.b.c", "b.a"]),
    ("*.b", ["a.b", ".b"], ["b", "a.a.b"]),
    ("a.#", ["a", "a.b", "a.b.c", "a."], ["ab", "b.a"]),
    ("#.b", ["b", "a.b", "c.a.b"], ["a.b.c"]),
    ("#", ["", "a", "a.b.c"], []),
    ("*", ["a"], ["", "a.b"]),
    ("a.#.z", ["a.z", "a.b.z", "a.b.c.z"], ["a", "z", "a.zz"]),
    ("a.*.#", ["a.b", "a.b.c"], ["a"]),
    ("#.#", ["a", "a.b"], []),
    ("*.#.*", ["a.b", "a.b.c"], ["a"]),
]


def topic(s):
    connection, channel = fresh(s)
    for pattern, matching, others in TOPIC:
        q = queue(channel)
        channel.queue_bind(q, "amq.topic", pattern)
        for key in matching + others:
            channel.basic_publish("amq.topic", key, key.encode())
        s.equal([key.encode() for key in matching], s.bodies(channel, q, len(matching)), f"pattern {pattern!r}")
        channel.queue_delete(q)
    connection.close()
    s.ok("topic patterns")


HEADERS = [
    # binding arguments, headers, matches
    ({"x-match": "all", "a": 1, "b": "x"}, {"a": 1, "b": "x", "c": 2}, True),
    ({"x-match": "all", "a": 1, "b": "x"}, {"a": 1}, False),
    ({"a": 1, "b": "x"}, {"a": 1}, False),
    ({"x-match": "any", "a": 1, "b": "x"}, {"a": 1}, True),
    ({"x-match": "any", "a": 1, "b": "x"}, {"a": 2}, False),
    ({"x-match": "any", "a": 1}, {}, False),
    ({"x-match": "all"}, {}, True),
    ({"x-match": "any"}, {"a": 1}, False),
    ({"x-match": "all", "a": None}, {"a": "whatever"}, True),
    ({"x-match": "all", "a": None}, {"b": "whatever"}, False),
    ({"x-match": "all", "a": 1 << 40}, {"a": 1 << 40}, True),
    ({"x-match": "all", "t": True}, {"t": True}, True),
    ({"x-match": "all", "t": True}, {"t": False}, False),
    ({"x-match": "all", "x-a": 1, "b": 2}, {"b": 2}, True),
    ({"x-match": "all-with-x", "x-a": 1, "b": 2}, {"b": 2}, False),
    ({"x-match": "any-with-x", "x-a": 1}, {"x-a": 1}, True),
]


def headers(s):
    connection, channel = fresh(s)
    for arguments, given, matches in HEADERS:
        q = queue(channel)
        channel.queue_bind(q, "amq.headers", "", arguments)
        channel.basic_publish("amq.headers", "", b"m", pika.BasicProperties(headers=given))
        s.equal(1 if matches else 0, s.ready(channel, q), f"binding {arguments} with headers {given}")
        channel.queue_delete(q)
    connection.close()
    s.ok("headers")


def exchange_to_exchange(s):
    connection, channel = fresh(s)
    source, target, third = (s.name(n) for n in ("e2e-source", "e2e-target", "e2e-third"))
    channel.exchange_declare(source, "topic")
    channel.exchange_declare(target, "direct")
    channel.exchange_declare(third, "fanout", internal=True)
    q, f = queue(channel), queue(channel)
    channel.exchange_bind(target, source, "a.#")
    channel.exchange_bind(third, source, "*.x")
    channel.exchange_bind(source, third, "")
    channel.queue_bind(q, target, "a.x")
    channel.queue_bind(f, third)
    channel.basic_publish(source, "a.x", b"both")
    channel.basic_publish(source, "a.y", b"no key in the second")
    s.equal([b"both"], s.bodies(channel, q, 1), "through two exchanges")
    s.equal([b"both"], s.bodies(channel, f, 1), "a cycle is visited once")
    channel.exchange_unbind(target, source, "a.#")
    channel.basic_publish(source, "a.x", b"later")
    s.empty(channel, q)
    s.equal([b"later"], s.bodies(channel, f, 1), "after unbind")
    for name in (source, target, third):
        channel.exchange_delete(name)
    connection.close()
    s.ok("exchange-to-exchange bindings")


def alternate(s):
    connection, channel = fresh(s)
    main, spare = s.name("main"), s.name("spare")
    channel.exchange_declare(spare, "fanout")
    channel.exchange_declare(main, "direct", arguments={"alternate-exchange": spare})
    q, lost = queue(channel), queue(channel)
    channel.queue_bind(q, main, "known")
    channel.queue_bind(lost, spare)
    channel.basic_publish(main, "known", b"1")
    channel.basic_publish(main, "unknown", b"2", mandatory=True)
    s.equal([b"1"], s.bodies(channel, q, 1), "routed")
    method, _, body = s.get(channel, lost, auto_ack=True)
    s.equal((main, "unknown", b"2"), (method.exchange, method.routing_key, body), "alternate keeps the origin")
    s.empty(channel, lost)
    for name in (main, spare):
        channel.exchange_delete(name)
    connection.close()
    s.ok("alternate exchange")


def carbon_copies(s):
    connection, channel = fresh(s)
    a, b, c = queue(channel), queue(channel), queue(channel)
    channel.basic_publish("", a, b"m", pika.BasicProperties(headers={"CC": [b], "BCC": [c]}))
    for q in (a, b, c):
        method, properties, _ = s.get(channel, q, auto_ack=True)
        s.equal(a, method.routing_key, "routing key of a copy")
        s.equal({"CC": [b]}, properties.headers, "BCC is taken away")
    connection.close()
    s.ok("CC and BCC")


run(direct, fanout, topic, headers, exchange_to_exchange, alternate, carbon_copies)
