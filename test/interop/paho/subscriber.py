"""Subscribes in on_connect, prints what comes in on_message, ends after so many messages."""
import sys

import paho.mqtt.client as mqtt

port, protocol, count = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
received = 0


def on_connect(client, userdata, flags, code, properties=None):
    print("connected", code, flush=True)
    client.subscribe([("paho/#", 2)])


def on_subscribe(client, userdata, identifier, granted, properties=None):
    print("subscribed", [int(getattr(qos, "value", qos)) for qos in granted], flush=True)


def on_message(client, userdata, message):
    global received
    received += 1
    print("message", message.topic, message.payload.decode(), message.qos, int(message.retain), flush=True)
    if received == count:
        client.disconnect()


versions = getattr(mqtt, "CallbackAPIVersion", None)
client = mqtt.Client(versions.VERSION1, protocol=protocol) if versions else mqtt.Client(protocol=protocol)
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.connect("127.0.0.1", port, 60)
client.loop_forever()
