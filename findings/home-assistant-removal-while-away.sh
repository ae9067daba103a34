#!/bin/sh
# A component that was removed from an MQTT device while Home Assistant was down stays there for ever, unavailable, although the
# retained description says on every start that it is removed.
#
# homeassistant 2026.11.0 on Python 3.14 (PYTHON names it), with the broker amqtt 0.12.1. By its documentation a component of a
# device is removed by a description that holds its platform alone. That works where this Home Assistant has set the component
# up since its start; one that it only remembers from before is not touched. Described whole once more and removed at once, it
# goes.
#
# Guess: the retained removal works whenever it is read.
# Seen:
#   described: button.box_keep button.box_old
#   removed while it was down: button.box_keep button.box_old (unavailable)
#   described once more, and removed: button.box_keep
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3.14}" -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check --prefer-binary homeassistant==2026.11.0 amqtt==0.12.1 paho-mqtt==2.1.0
cat >"$dir/hass.py" <<'PY'
"""Home Assistant with MQTT alone: the button entities of its registry, after so many seconds without a change."""
import asyncio, os, sys

from homeassistant import bootstrap
from homeassistant.helpers import entity_registry
from homeassistant.runner import RuntimeConfig

config, port, web_port = sys.argv[1:]


async def main():
    bootstrap.DEFAULT_INTEGRATIONS.clear()
    bootstrap.CRITICAL_INTEGRATIONS.clear()
    with open(os.path.join(config, "configuration.yaml"), "w") as file:
        file.write(f"http:\n  server_host: 127.0.0.1\n  server_port: {web_port}\n")
    hass = await bootstrap.async_setup_hass(RuntimeConfig(config_dir=config))
    await hass.async_start()
    if not hass.config_entries.async_entries("mqtt"):
        flow = await hass.config_entries.flow.async_init("mqtt", context={"source": "user"})
        other = {"set_client_cert": False, "set_ca_cert": "off"}
        broker = {"broker": "127.0.0.1", "port": int(port), "protocol": "3.1.1", "other_settings": other}
        made = await hass.config_entries.flow.async_configure(flow["flow_id"], broker)
        assert made["type"] == "create_entry", made
    loop = asyncio.get_running_loop()
    print("started", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        await asyncio.sleep(3)
        await hass.async_block_till_done()
        told = []
        for entry in entity_registry.async_get(hass).entities.values():
            if entry.domain == "button":
                state = hass.states.get(entry.entity_id).state
                told.append(entry.entity_id + (" (unavailable)" if state == "unavailable" else ""))
        print(" ".join(sorted(told)), flush=True)
    await hass.async_stop(force=True)


asyncio.run(main())
PY
cat >"$dir/show.py" <<'PY'
import asyncio, json, os, socket, subprocess, sys, threading

import paho.mqtt.publish
from amqtt.broker import Broker

directory = sys.argv[1]
config = os.path.join(directory, "config")
os.mkdir(config)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


port, web_port = free_port(), free_port()


def describe(**buttons):
    """A device with these buttons; None is one that is removed."""
    components = {}
    for name, topic in buttons.items():
        whole = {"name": name, "unique_id": f"box_{name}", "command_topic": topic}
        components[name] = {"platform": "button", **(whole if topic else {})}
    device = {"device": {"identifiers": ["box"], "name": "Box"}, "origin": {"name": "finding"}, "components": components}
    paho.mqtt.publish.single(
        "homeassistant/device/box/config", json.dumps(device), qos=1, retain=True, hostname="127.0.0.1", port=port
    )


class Hass:
    def __init__(self):
        command = [sys.executable, os.path.join(directory, "hass.py"), config, str(port), str(web_port)]
        log = open(os.path.join(directory, "log"), "a")
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.child.stdout.readline() == "started\n", open(os.path.join(directory, "log")).read()[-2000:]

    def buttons(self):
        self.child.stdin.write("?\n")
        self.child.stdin.flush()
        return self.child.stdout.readline().strip()

    def stop(self):
        self.child.stdin.close()
        self.child.wait()


async def serve():
    broker = Broker({
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })
    await broker.start()
    await asyncio.Event().wait()


threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
hass = Hass()
describe(keep="box/keep", old="box/old")
print("described:", hass.buttons(), flush=True)
hass.stop()
describe(keep="box/keep", old=None)
hass = Hass()
print("removed while it was down:", hass.buttons(), flush=True)
describe(keep="box/keep", old="box/old")
describe(keep="box/keep", old=None)
print("described once more, and removed:", hass.buttons(), flush=True)
hass.stop()
PY
PATH="$dir/venv/bin:$PATH" VIRTUAL_ENV="$dir/venv" "$dir/venv/bin/python" "$dir/show.py" "$dir" >"$dir/seen"
cat "$dir/seen"
cat >"$dir/expected" <<'TEXT'
described: button.box_keep button.box_old
removed while it was down: button.box_keep button.box_old (unavailable)
described once more, and removed: button.box_keep
TEXT
diff "$dir/expected" "$dir/seen"
