#!/bin/sh
# A valid example is an error, because the schema says something more of a property under a condition.
#
# Redocly CLI 2.77.0, OpenAPI 3.1, the rule `no-invalid-media-type-examples` (a warning in its recommended set). If the kind is
# "a", n is at least 1; the example has both. The linter looks for properties that a schema does not name, by putting
# `unevaluatedProperties: false` also into what stands behind `then` and `else`; where that names a property it then
# forbids all others, and the condition itself fails. With every property of the object named there again (`{}`) nothing is
# said. jsonschema 4.25.1 finds nothing wrong with either.
#
# Guess: what is valid by JSON Schema 2020-12, with each of its properties described, is valid.
# Seen:
#   {"n": {"minimum": 1}}: jsonschema valid, redocly 2 errors
#     must NOT have unevaluated properties `kind`
#     must match "then" schema
#   {"n": {"minimum": 1}, "kind": {}}: jsonschema valid, redocly 0 errors
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts @redocly/cli@2.77.0
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check jsonschema==4.25.1
cat >redocly.yaml <<'YAML'
telemetry: off
rules:
  no-invalid-media-type-examples: error
YAML
cat >show.py <<'PY'
import json, os, re, subprocess

from jsonschema import Draft202012Validator

EXAMPLE = {"kind": "a", "n": 1}


def document(schema):
    media = {"schema": schema, "example": EXAMPLE}
    operation = {"requestBody": {"content": {"application/json": media}}, "responses": {"204": {"description": "Done"}}}
    return {"openapi": "3.1.0", "info": {"title": "Things", "version": "1"}, "paths": {"/things": {"post": operation}}}


for then in {"n": {"minimum": 1}}, {"n": {"minimum": 1}, "kind": {}}:
    schema = {
        "type": "object",
        "properties": {"kind": {"type": "string"}, "n": {"type": "integer"}},
        "if": {"properties": {"kind": {"const": "a"}}},
        "then": {"properties": then},
    }
    with open("api.json", "w") as file:
        json.dump(document(schema), file)
    command = ["node_modules/.bin/redocly", "lint", "api.json", "--config", "redocly.yaml", "--format", "json"]
    quiet = {**os.environ, "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    lint = subprocess.run(command, capture_output=True, text=True, env=quiet)
    problems = json.loads(lint.stdout)["problems"]
    valid = "valid" if Draft202012Validator(schema).is_valid(EXAMPLE) else "invalid"
    print(f"{json.dumps(then)}: jsonschema {valid}, redocly {len(problems)} errors")
    for problem in problems:
        print(" ", re.sub(r".*: (must .*)\.$", r"\1", problem["message"]))
PY
venv/bin/python show.py >seen
cat seen
cat >expected <<'TEXT'
{"n": {"minimum": 1}}: jsonschema valid, redocly 2 errors
  must NOT have unevaluated properties `kind`
  must match "then" schema
{"n": {"minimum": 1}, "kind": {}}: jsonschema valid, redocly 0 errors
TEXT
diff expected seen
