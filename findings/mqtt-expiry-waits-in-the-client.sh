#!/bin/sh
# A message that expires after a second is delivered three seconds later, as one that has its whole second before it.
#
# npm's mqtt 5.16.0 and paho-mqtt 2.2.0 with MQTT 5, Node 20, Python 3.11, mosquitto 2.0.11. The message is published with an
# expiry of one second while there is no way to the broker. Both libraries keep it, and send it when there is one, with the expiry
# as it was given: the time in their own queue does not count. A broker subtracts what a message waited at it, and drops it when
# nothing is left; so the expiry looks as if it held from the press of a button to its effect, and holds from the last connection.
#
# Guess: what has expired in the queue is dropped there, or sent with what is left.
# Seen:
#   mqtt: late, expiry 1
#   paho-mqtt: late, expiry 1
# Needs mosquitto (Debian: mosquitto).
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts mqtt@5.16.0
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check paho-mqtt==2.2.0
cat >publish.mjs <<'JS'
import mqtt from 'mqtt';
const client = mqtt.connect(`mqtt://127.0.0.1:${process.argv[2]}`, {protocolVersion: 5, reconnectPeriod: 200});
client.on('error', () => {});
client.publish('press', 'mqtt', {qos: 1, properties: {messageExpiryInterval: 1}}, () => client.end());
console.log('published');
JS
cat >publish.py <<'PY'
import sys, threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
acknowledged = threading.Event()
client.on_publish = lambda *_: acknowledged.set()
client.reconnect_delay_set(1, 1)
expiry = Properties(PacketTypes.PUBLISH)
expiry.MessageExpiryInterval = 1
client.connect_async("127.0.0.1", int(sys.argv[1]))
client.loop_start()
client.publish("press", "paho-mqtt", qos=1, properties=expiry)
print("published", flush=True)
acknowledged.wait()
PY
cat >show.py <<'PY'
"""The broker is there from the start, for the subscriber; the publishers' way to it is there after three seconds."""
import queue, socket, subprocess, sys, threading, time

import paho.mqtt.client as mqtt


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def pass_on(source, target):
    while piece := source.recv(4096):
        target.sendall(piece)


def relay():
    listener = socket.create_server(("127.0.0.1", way))
    while True:
        near, far = listener.accept()[0], socket.create_connection(("127.0.0.1", port))
        for pair in (near, far), (far, near):
            threading.Thread(target=pass_on, args=pair, daemon=True).start()


port, way = free_port(), free_port()
open("conf", "w").write(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
children = [subprocess.Popen(["mosquitto", "-c", "conf"], stderr=open("log", "w"))]
try:
    got, subscribed = queue.Queue(), threading.Event()
    subscriber = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    subscriber.on_connect = lambda client, *_: client.subscribe("press", qos=1)
    subscriber.on_subscribe = lambda *_: subscribed.set()
    subscriber.on_message = lambda _client, _data, message: got.put((message, time.monotonic()))
    subscriber.reconnect_delay_set(1, 1)
    subscriber.connect_async("127.0.0.1", port)
    subscriber.loop_start()
    assert subscribed.wait(60)
    for command in ["node", "publish.mjs", str(way)], [sys.executable, "publish.py", str(way)]:
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    for child in children[1:]:
        assert child.stdout.readline() == "published\n"
    published = time.monotonic()
    time.sleep(3)
    threading.Thread(target=relay, daemon=True).start()
    told = []
    for _ in range(2):
        message, at = got.get(timeout=60)
        when = "late" if at - published > 2 else "in time"
        told.append(f"{message.payload.decode()}: {when}, expiry {message.properties.MessageExpiryInterval}")
    print("\n".join(sorted(told)))
finally:
    for child in children:
        child.kill()
PY
PATH=$PATH:/usr/sbin timeout 120 venv/bin/python show.py >seen
cat seen
cat >expected <<'TEXT'
mqtt: late, expiry 1
paho-mqtt: late, expiry 1
TEXT
diff expected seen
