#!/bin/sh
# A client sends a field that nobody set, because the schema behind the field's reference has a default.
#
# openapi-generator 7.26.0, `-g python`. In `Change` no field is required; `priority` refers to a schema with `"default": 0`.
# The class takes that default as its own value: a change of the name alone goes out with `"priority": 0`, so that a
# partial update (PATCH) changes what was not asked for. There is no way to leave it out but to set it to None. A default
# in OpenAPI says what the server takes where the field is missing. (openapi-python-client 0.29.1 leaves it out.)
#
# Guess: what was not set is not sent.
# Seen:
#   openapi-generator: {"name":"renamed","priority":0}
#   openapi-python-client: {"name":"renamed"}
# Needs Java (Debian: default-jre-headless).
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check openapi-generator-cli==7.26.0 openapi-python-client==0.29.1 pydantic==2.14.4 \
	python-dateutil==4.0.0 urllib3==2.8.0 typing-extensions==4.16.0 lazy-imports==1.2.0
cat >api.json <<'JSON'
{
  "openapi": "3.1.0",
  "info": { "title": "Things", "version": "1" },
  "paths": {
    "/thing": {
      "patch": {
        "operationId": "change",
        "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Change" } } } },
        "responses": { "204": { "description": "It is changed" } }
      }
    }
  },
  "components": {
    "schemas": {
      "Priority": { "type": "integer", "default": 0 },
      "Change": { "type": "object", "properties": { "name": { "type": "string" }, "priority": { "$ref": "#/components/schemas/Priority" } } }
    }
  }
}
JSON
venv/bin/openapi-generator-cli generate -g python -i api.json -o one >log 2>&1 || { cat log; exit 1; }
PATH=$dir/venv/bin:$PATH venv/bin/openapi-python-client generate --path api.json --output-path two --meta none >log 2>&1 || { cat log; exit 1; }
cat >show.py <<'PY'
import json, sys

sys.path[:0] = ["one", "."]
import openapi_client
from two.models import Change

compact = lambda value: json.dumps(value, separators=(",", ":"))
print("openapi-generator:", compact(json.loads(openapi_client.Change(name="renamed").to_json())))
print("openapi-python-client:", compact(Change(name="renamed").to_dict()))
PY
venv/bin/python show.py >seen
cat seen
cat >expected <<'TEXT'
openapi-generator: {"name":"renamed","priority":0}
openapi-python-client: {"name":"renamed"}
TEXT
diff expected seen
