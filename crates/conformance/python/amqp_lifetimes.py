"""Message TTL, dead-lettering with x-death, queue length limits, queue expiry, heartbeats."""

import time

import pika

from scenario import run


def ttl(s):
    connection = s.open()
    channel = connection.channel()
    short = channel.queue_declare("", exclusive=True, arguments={"x-message-ttl": 200}).method.queue
    plain = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", short, b"by queue")
    channel.basic_publish("", plain, b"by message", pika.BasicProperties(expiration="200"))
    channel.basic_publish("", plain, b"stays", pika.BasicProperties(expiration="60000"))
    s.until("two ready", 5, lambda: s.ready(channel, plain) >= 1)
    s.until("expiry by queue argument", 5, lambda: s.ready(channel, short) == 0)
    s.until("expiry by message", 5, lambda: s.ready(channel, plain) == 1)
    s.equal([b"stays"], s.bodies(channel, plain, 1), "the younger stays")
    connection.close()
    s.ok("message TTL")


def dead_letter(s):
    connection = s.open()
    channel = connection.channel()
    x = s.name("dlx")
    channel.exchange_declare(x, "topic")
    dead = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(dead, x, "#")
    work = s.name("work")
    channel.queue_declare(work, exclusive=True, arguments={"x-dead-letter-exchange": x})
    channel.basic_publish("", work, b"bad", pika.BasicProperties(headers={"mine": 1}, message_id="id"))
    method, _, _ = s.get(channel, work)
    channel.basic_reject(method.delivery_tag, requeue=False)
    method, properties, body = s.get(channel, dead, auto_ack=True)
    s.equal((b"bad", x, work, False), (body, method.exchange, method.routing_key, method.redelivered), "dead letter")
    s.equal("id", properties.message_id, "properties stay")
    h = properties.headers
    s.equal(1, h["mine"], "headers stay")
    s.equal((work, "rejected", ""), (h["x-first-death-queue"], h["x-first-death-reason"],
            h["x-first-death-exchange"]), "first death")
    s.equal(1, len(h["x-death"]), "one death")
    death = h["x-death"][0]
    s.equal({"count": 1, "reason": "rejected", "queue": work, "exchange": "", "routing-keys": [work]},
            {k: v for k, v in death.items() if k != "time"}, "x-death")
    s.ok("rejected")

    expiring = s.name("expiring")
    channel.queue_declare(expiring, exclusive=True,
                          arguments={"x-dead-letter-exchange": x, "x-dead-letter-routing-key": "late"})
    channel.basic_publish("", expiring, b"old", pika.BasicProperties(expiration="100"))
    method, properties, body = s.get(channel, dead, auto_ack=True)
    s.equal((b"old", "late", None), (body, method.routing_key, properties.expiration), "expired")
    death = properties.headers["x-death"][0]
    s.equal(("expired", "100", expiring), (death["reason"], death["original-expiration"], death["queue"]),
            "x-death of an expired message")
    s.ok("expired")

    # Around twice: rejected at `work`, waits at `wait`, returns to `work`, rejected again.
    wait = s.name("wait")
    channel.queue_declare(wait, exclusive=True, arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": s.name("again"), "x-message-ttl": 50})
    again = s.name("again")
    channel.queue_declare(again, exclusive=True, arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": wait})
    channel.basic_publish("", again, b"retry")
    for count in (1, 2, 3):
        method, properties, body = s.get(channel, again)
        deaths = {(d["queue"], d["reason"]): d["count"] for d in (properties.headers or {}).get("x-death", [])}
        expected = {} if count == 1 else {(wait, "expired"): count - 1, (again, "rejected"): count - 1}
        s.equal(expected, deaths, f"deaths in round {count}")
        if count > 1:
            s.equal([wait, again], [d["queue"] for d in properties.headers["x-death"]], "newest first")
        channel.basic_nack(method.delivery_tag, requeue=False)
    channel.exchange_delete(x)
    connection.close()
    s.ok("death counts over a retry loop")


def queue_expiry(s):
    connection = s.open()
    channel = connection.channel()
    q = s.name("expires")
    channel.queue_declare(q, arguments={"x-expires": 300})
    time.sleep(1.0)
    s.closes_channel(connection, 404, f"NOT_FOUND - no queue '{q}' in vhost '/'",
                     lambda c: c.queue_declare(q, passive=True))
    connection.close()
    s.ok("queue expiry")


run(ttl, dead_letter, queue_expiry)
