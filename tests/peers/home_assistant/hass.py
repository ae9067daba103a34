"""Home Assistant itself, with its MQTT integration and little else: it says what it makes of a box, and presses.

`hass.py CONFIG BROKER_PORT WEB_PORT`. A line of standard input is a command, a line of standard output its answer, both JSON:
`{"states": true}` gives devices, registry and states, `{"press": ENTITY}` presses a button, `{"stop": true}` ends it.
"""

import asyncio
import json
import os
import sys

from homeassistant import bootstrap
from homeassistant.const import __version__
from homeassistant.helpers import device_registry, entity_registry
from homeassistant.runner import RuntimeConfig

config, port, web_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def prepare():
    """Only what MQTT itself needs."""
    bootstrap.DEFAULT_INTEGRATIONS.clear()
    bootstrap.CRITICAL_INTEGRATIONS.clear()
    with open(os.path.join(config, "configuration.yaml"), "w") as file:
        file.write(f"http:\n  server_host: 127.0.0.1\n  server_port: {web_port}\nlogger:\n  default: warning\n")


async def connect(hass):
    """What a person clicks together: settings, devices, add integration, MQTT."""
    if hass.config_entries.async_entries("mqtt"):
        return
    flow = await hass.config_entries.flow.async_init("mqtt", context={"source": "user"})
    other = {"set_client_cert": False, "set_ca_cert": "off"}
    broker = {"broker": "127.0.0.1", "port": port, "other_settings": other}
    made = await hass.config_entries.flow.async_configure(flow["flow_id"], broker)
    if made["type"] != "create_entry":
        sys.exit(f"Home Assistant does not connect to the broker: {made}")
    await hass.async_block_till_done()


def answer(what):
    print(json.dumps(what, default=str), flush=True)


async def main():
    prepare()
    hass = await bootstrap.async_setup_hass(RuntimeConfig(config_dir=config, skip_pip=False))
    if hass is None or hass.config.recovery_mode:
        sys.exit("Home Assistant did not start")
    await hass.async_start()
    await connect(hass)
    answer({"version": __version__})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        if "states" in asked:
            entities = entity_registry.async_get(hass).entities.values()
            answer({
                "devices": [device.name for device in device_registry.async_get(hass).devices],
                "registry": {entry.unique_id: entry.entity_id for entry in entities if entry.platform == "mqtt"},
                "states": {state.entity_id: {"state": state.state, **state.attributes} for state in hass.states.async_all()},
            })
        elif "press" in asked:
            await hass.services.async_call("button", "press", {"entity_id": asked["press"]}, blocking=True)
            answer({})
        else:
            break
    await hass.async_stop(force=True)


asyncio.run(main())
