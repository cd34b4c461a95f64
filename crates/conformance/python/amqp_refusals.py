"""What Troika does not serve yet is refused in the protocol's own words, never accepted and dropped."""

from scenario import run


def arguments(s):
    connection = s.open()
    queue = s.name("refused")
    for argument, value in (
        ("x-max-length", 10),
        ("x-max-length-bytes", 1000),
        ("x-overflow", "reject-publish"),
        ("x-max-priority", 5),
    ):
        s.closes_channel(
            connection, 406,
            f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/': \"not supported yet\"",
            lambda c: c.queue_declare(queue, arguments={argument: value}))
    for kind in ("quorum", "stream"):
        s.closes_channel(
            connection, 406,
            f"PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue '{queue}' in vhost '/': "
            f"\"queue type '{kind}' is not supported yet\"",
            lambda c: c.queue_declare(queue, durable=True, arguments={"x-queue-type": kind}))
    # Nothing was declared on the way, and an argument that RabbitMQ does not know is no obstacle.
    s.closes_channel(connection, 404, f"NOT_FOUND - no queue '{queue}' in vhost '/'",
                     lambda c: c.queue_declare(queue, passive=True))
    channel = connection.channel()
    channel.queue_declare(queue, arguments={"x-of-ours": "kept"})
    channel.queue_delete(queue)
    connection.close()


def classes(s):
    s.closes_connection(540, "NOT_IMPLEMENTED - tx.select is not supported yet",
                        lambda connection: connection.channel().tx_select())


run(arguments, classes)
