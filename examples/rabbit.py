"""RabbitMQ's Python client: sends to the queue `orders`, or prints what is in it.

    python3 examples/rabbit.py send "from pika"
    python3 examples/rabbit.py receive
    python3 examples/rabbit.py bind
"""

import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1"))
channel = connection.channel()
channel.queue_declare("orders", durable=True)
if sys.argv[1] == "send":
    channel.confirm_delivery()
    durable_text = pika.BasicProperties(content_type="text/plain", delivery_mode=2)
    channel.basic_publish("", "orders", sys.argv[2], durable_text)
    print("pika: confirmed", sys.argv[2])
elif sys.argv[1] == "bind":
    # Everything sent to the RocketMQ topic TopicTest also goes to the queue.
    channel.queue_bind("orders", "TopicTest", routing_key="#")
    print("pika: orders is bound to TopicTest")
else:
    for method, properties, body in channel.consume("orders", inactivity_timeout=2):
        if method is None:
            break
        channel.basic_ack(method.delivery_tag)
        print("pika: received", body.decode())
connection.close()
