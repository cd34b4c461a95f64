"""Refusals with the exact codes and texts of RabbitMQ."""

import pika

from scenario import run


def missing_things(s):
    connection = s.open()
    x, q = s.name("no-x"), s.name("no-q")
    no_x = f"NOT_FOUND - no exchange '{x}' in vhost '/'"
    no_q = f"NOT_FOUND - no queue '{q}' in vhost '/'"
    s.closes_channel(connection, 404, no_x, lambda c: c.basic_publish(x, "k", b""))
    s.closes_channel(connection, 404, no_x, lambda c: c.exchange_declare(x, passive=True))
    s.closes_channel(connection, 404, no_q, lambda c: c.queue_declare(q, passive=True))
    s.closes_channel(connection, 404, no_q, lambda c: c.basic_get(q))
    s.closes_channel(connection, 404, no_q, lambda c: c.basic_consume(q, lambda *a: None))
    s.closes_channel(connection, 404, no_q, lambda c: c.queue_purge(q))
    s.closes_channel(connection, 404, no_q, lambda c: c.queue_bind(q, "amq.direct", "k"))
    s.closes_channel(connection, 404, no_x, lambda c: (c.queue_declare("", exclusive=True), c.queue_bind("", x, "k")))
    s.closes_channel(connection, 404, no_x, lambda c: c.exchange_bind("amq.direct", x, "k"))
    s.closes_channel(connection, 404, "NOT_FOUND - no previously declared queue", lambda c: c.basic_get(""))
    connection.close()


def inequivalent(s):
    connection = s.open()
    channel = connection.channel()
    q, x = s.name("ineq"), s.name("ineq-x")
    channel.queue_declare(q, durable=True, arguments={"x-message-ttl": 1000})
    channel.exchange_declare(x, "direct", durable=True)
    res = f"queue '{q}' in vhost '/'"
    xres = f"exchange '{x}' in vhost '/'"
    ttl = {"x-message-ttl": 1000}
    pre = "PRECONDITION_FAILED - "
    for text, action in (
        (f"{pre}inequivalent arg 'durable' for {res}: received 'false' but current is 'true'",
         lambda c: c.queue_declare(q, arguments=ttl)),
        (f"{pre}inequivalent arg 'auto_delete' for {res}: received 'true' but current is 'false'",
         lambda c: c.queue_declare(q, durable=True, auto_delete=True, arguments=ttl)),
        (f"{pre}inequivalent arg 'x-message-ttl' for {res}: received none but current is the value '1000' of type "
         "'signedint'", lambda c: c.queue_declare(q, durable=True)),
        (f"{pre}inequivalent arg 'x-message-ttl' for {res}: received '2000' but current is '1000'",
         lambda c: c.queue_declare(q, durable=True, arguments={"x-message-ttl": 2000})),
        (f"{pre}inequivalent arg 'type' for {xres}: received 'fanout' but current is 'direct'",
         lambda c: c.exchange_declare(x, "fanout", durable=True)),
        (f"{pre}inequivalent arg 'durable' for {xres}: received 'false' but current is 'true'",
         lambda c: c.exchange_declare(x, "direct")),
    ):
        s.closes_channel(connection, 406, text, action)
    channel.queue_declare(q, durable=True, arguments={"x-message-ttl": 1000, "my-own": "kept and ignored"})
    channel.queue_delete(q)
    channel.exchange_delete(x)
    connection.close()


def preconditions(s):
    connection = s.open()
    channel = connection.channel()
    q = s.name("used")
    channel.queue_declare(q)
    channel.queue_bind(q, "amq.direct", q)
    channel.basic_publish("", q, b"m")
    s.until("one ready", 5, lambda: s.ready(channel, q) == 1)
    pre = "PRECONDITION_FAILED - "
    s.closes_channel(connection, 406, f"{pre}queue '{q}' in vhost '/' not empty",
                     lambda c: c.queue_delete(q, if_empty=True))
    channel.basic_consume(q, lambda *a: None)
    s.closes_channel(connection, 406, f"{pre}queue '{q}' in vhost '/' in use",
                     lambda c: c.queue_delete(q, if_unused=True))
    x = s.name("used-x")
    channel.exchange_declare(x)
    channel.queue_bind(q, x, "k")
    s.closes_channel(connection, 406, f"{pre}exchange '{x}' in vhost '/' in use",
                     lambda c: c.exchange_delete(x, if_unused=True))
    channel.exchange_delete(x)
    s.closes_channel(connection, 406, f"{pre}unknown delivery tag 82", lambda c: c.basic_ack(82))
    s.closes_channel(connection, 406, f"{pre}unknown delivery tag 7", lambda c: c.basic_nack(7))
    s.closes_channel(connection, 406, f"{pre}unknown delivery tag 1", lambda c: c.basic_reject(1))
    s.closes_channel(connection, 406, f"{pre}user_id property set to 'somebody' but authenticated user was 'guest'",
                     lambda c: c.basic_publish("", q, b"", pika.BasicProperties(user_id="somebody")))
    s.closes_channel(connection, 406, f"{pre}channel is not transactional", lambda c: c.tx_commit())
    s.closes_channel(connection, 406, f"{pre}invalid expiration 'soon': no_integer",
                     lambda c: c.basic_publish("", q, b"", pika.BasicProperties(expiration="soon")))
    channel.queue_delete(q)
    for argument, value, detail in (
        ("x-message-ttl", -1, "{value_negative,-1}"),
        ("x-expires", 0, "{value_zero,0}"),
        ("x-max-length", -1, "{value_negative,-1}"),
        ("x-overflow", "spill", "invalid_overflow"),
        ("x-dead-letter-routing-key", "k", "routing_key_but_no_dlx_defined"),
    ):
        s.closes_channel(
            connection, 406, f"{pre}invalid arg '{argument}' for queue '{q}' in vhost '/': {detail}",
            lambda c: c.queue_declare(q, arguments={argument: value}))
    s.closes_channel(connection, 406,
                     f"{pre}Invalid x-match field value <<\"most\">>; expected all, any, all-with-x, or any-with-x",
                     lambda c: (c.queue_declare("", exclusive=True),
                                c.queue_bind("", "amq.headers", "", {"x-match": "most"})))
    connection.close()


def refused(s):
    connection = s.open()
    pre = "ACCESS_REFUSED - "
    for text, action in (
        ("queue name 'amq.mine' contains reserved prefix 'amq.*'", lambda c: c.queue_declare("amq.mine")),
        ("exchange name 'amq.mine' contains reserved prefix 'amq.*'", lambda c: c.exchange_declare("amq.mine")),
        ("operation not permitted on the default exchange", lambda c: c.exchange_delete("")),
        ("operation not permitted on the default exchange",
         lambda c: (c.queue_declare("", exclusive=True), c.queue_bind("", "", "k"))),
    ):
        s.closes_channel(connection, 403, pre + text, action)
    channel = connection.channel()
    x = s.name("internal")
    channel.exchange_declare(x, internal=True)
    s.closes_channel(connection, 403, f"{pre}cannot publish to internal exchange '{x}' in vhost '/'",
                     lambda c: c.basic_publish(x, "k", b""))
    channel.exchange_delete(x)
    connection.close()


def connection_errors(s):
    def reuse(connection):
        channel = connection.channel()
        q = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_consume(q, lambda *a: None, consumer_tag="t")
        channel._impl._consumers.pop("t")
        channel._consumer_infos.pop("t")
        channel.basic_consume(q, lambda *a: None, consumer_tag="t")

    s.closes_connection(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", reuse)
    s.closes_connection(540, "NOT_IMPLEMENTED - requeue=false",
                        lambda c: c.channel().basic_recover(requeue=False))
    s.closes_connection(540, "NOT_IMPLEMENTED - prefetch_size!=0 (9)",
                        lambda c: c.channel().basic_qos(prefetch_size=9))
    s.closes_connection(540, "NOT_IMPLEMENTED - active=false", lambda c: c.channel().flow(False))


def logins(s):
    try:
        s.open(credentials=pika.PlainCredentials("guest", "wrong"))
        raise AssertionError("a wrong password was accepted")
    except pika.exceptions.ProbableAuthenticationError as error:
        s.check("ACCESS_REFUSED" in repr(error) and "Login was refused using authentication mechanism PLAIN. For "
                "details see the broker logfile." in repr(error), repr(error))
    s.ok("wrong password refused")
    try:
        s.open(virtual_host="elsewhere")
        raise AssertionError("a missing virtual host was opened")
    except pika.exceptions.ConnectionClosedByBroker as closed:
        s.equal((530, "NOT_ALLOWED - vhost elsewhere not found"), (closed.reply_code, closed.reply_text), "vhost")
    except pika.exceptions.ProbableAccessDeniedError as error:
        s.check("vhost elsewhere not found" in repr(error), repr(error))
    s.ok("missing virtual host refused")


run(missing_things, inequivalent, preconditions, refused, connection_errors, logins)
