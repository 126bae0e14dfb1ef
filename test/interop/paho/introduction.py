"""The first program of every introduction to Paho: connect, publish at QoS 1, disconnect."""
import sys

import paho.mqtt.client as mqtt

port, protocol = int(sys.argv[1]), int(sys.argv[2])
versions = getattr(mqtt, "CallbackAPIVersion", None)
client = mqtt.Client(versions.VERSION1, protocol=protocol) if versions else mqtt.Client(protocol=protocol)
client.connect("127.0.0.1", port, 60)
client.loop_start()
message = client.publish("paho/test/single", "hello from Paho", qos=1)
message.wait_for_publish()
print("published", message.is_published(), flush=True)
client.disconnect()
client.loop_stop()
