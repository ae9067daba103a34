#!/bin/sh
# A reference with properties beside it becomes a class without any field.
#
# openapi-generator 7.26.0, `-g python`. Since OpenAPI 3.1 keywords beside `$ref` count as well as what it refers to (JSON
# Schema 2020-12). `Gone` is a `Problem` whose code is narrowed by a property beside the reference. Its class has neither
# the fields of the one nor of the other, and an answer of that schema is parsed without an error into an object without
# content; nothing is said while it is generated. Several such schemas in answers even become one class, named after the
# first. With `allOf` around both the fields are there.
#
# Guess: the fields of both, or at least of what is referred to.
# Seen:
#   Problem: code, detail
#   Gone:
#   Wrapped: code, detail
# Needs Java (Debian: default-jre-headless).
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check openapi-generator-cli==7.26.0 pydantic==2.14.4 \
	python-dateutil==4.0.0 urllib3==2.8.0 typing-extensions==4.16.0 lazy-imports==1.2.0
cat >api.json <<'JSON'
{
  "openapi": "3.1.0",
  "info": { "title": "Things", "version": "1" },
  "paths": {
    "/thing": {
      "get": {
        "operationId": "read",
        "responses": {
          "404": { "description": "No", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Problem" } } } },
          "409": { "description": "No", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Wrapped" } } } },
          "410": { "description": "No", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Gone" } } } }
        }
      }
    }
  },
  "components": {
    "schemas": {
      "Problem": {
        "type": "object",
        "required": ["code", "detail"],
        "properties": { "code": { "type": "string" }, "detail": { "type": "string" } }
      },
      "Gone": { "$ref": "#/components/schemas/Problem", "properties": { "code": { "type": "string", "const": "gone" } } },
      "Wrapped": {
        "allOf": [
          { "$ref": "#/components/schemas/Problem" },
          { "type": "object", "properties": { "code": { "type": "string", "const": "wrapped" } } }
        ]
      }
    }
  }
}
JSON
venv/bin/openapi-generator-cli generate -g python -i api.json -o client >log 2>&1 || { cat log; exit 1; }
cat >show.py <<'PY'
import sys

sys.path.insert(0, "client")
import openapi_client

for name in ("Problem", "Gone", "Wrapped"):
    parsed = getattr(openapi_client, name).from_dict({"code": name.lower(), "detail": "x"})
    print(f"{name}:", ", ".join(parsed.to_dict()))
PY
venv/bin/python show.py | sed 's/ *$//' >seen
cat seen
cat >expected <<'TEXT'
Problem: code, detail
Gone:
Wrapped: code, detail
TEXT
diff expected seen
