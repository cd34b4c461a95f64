"""The AMQP side of the matrix with pika, and the step that binds a RocketMQ topic to the other worlds."""

import pika

from scenario import run

COUNT = 5
TAG = "TagA"
COLOUR = "grün"


def body(n):
    return f"text {n} äöü €"


def main(s):
    connection = s.open()
    channel = connection.channel()
    role, kind = s.args["role"], s.args["kind"]
    queue, topic, rocketmq = s.name("matrix-orders"), s.name("a.b"), s.name("MatrixTopic")
    if role == "bind":
        bind(s, channel, queue, topic, rocketmq)
    elif role == "send":
        target = {"queue": ("", queue), "topic": ("amq.topic", topic), "rocketmq-topic": (rocketmq, TAG)}
        send(s, channel, *target[kind])
    else:
        if kind == "queue":
            channel.queue_declare(queue, durable=True)
        else:
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.queue_bind(queue, *(("amq.topic", topic) if kind == "topic" else (rocketmq, "#")))
        receive(s, channel, queue)
    connection.close()


def bind(s, channel, queue, topic, rocketmq):
    channel.exchange_declare(rocketmq, passive=True)
    if s.args["receiver"] == "jms":
        channel.queue_declare(queue, durable=True)
        channel.queue_bind(queue, rocketmq, "#")
    if s.args["sender"] == "jms":
        channel.exchange_bind(rocketmq, "amq.topic", topic)
    print("READY", flush=True)


def send(s, channel, exchange, key):
    channel.confirm_delivery()
    for n in range(COUNT):
        properties = pika.BasicProperties(
            content_type="text/plain", delivery_mode=2, correlation_id=f"corr-{n}",
            headers={"colour": COLOUR, "number": n})
        channel.basic_publish(exchange, key, body(n).encode(), properties, mandatory=True)
    s.ok("sent")


def receive(s, channel, queue):
    print("READY", flush=True)
    n = 0
    for method, properties, found in channel.consume(queue, inactivity_timeout=30):
        s.check(method is not None, f"only {n} arrived")
        s.equal(body(n), found.decode(), "body")
        s.equal(COLOUR, properties.headers["colour"], "property colour")
        s.equal(str(n), str(properties.headers["number"]), "property number")
        if s.args["sender"] == "rocketmq":
            s.equal(TAG, method.routing_key, "tag as key")
        else:
            s.equal(f"corr-{n}", properties.correlation_id, "correlation id")
        channel.basic_ack(method.delivery_tag)
        n += 1
        if n == COUNT:
            break
    s.ok("received")


run(main)
