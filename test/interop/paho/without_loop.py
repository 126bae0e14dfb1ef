"""The shortest program: it never reads, so CONNECT, PUBLISH and DISCONNECT leave before CONNACK is seen."""
import sys

import paho.mqtt.client as mqtt

port, protocol = int(sys.argv[1]), int(sys.argv[2])
versions = getattr(mqtt, "CallbackAPIVersion", None)
client = mqtt.Client(versions.VERSION1, protocol=protocol) if versions else mqtt.Client(protocol=protocol)
client.connect("127.0.0.1", port)
client.publish("paho/test/single", "no loop", qos=1)
client.disconnect()
