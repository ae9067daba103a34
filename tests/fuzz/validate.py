"""Fails unless the reference that the daemon serves is OpenAPI 3.1, by a validator that is not ours."""

import json
import os
import urllib.request

from openapi_spec_validator import OpenAPIV31SpecValidator

with urllib.request.urlopen(os.environ["FUZZ_URL"] + "/openapi.json") as answer:
    OpenAPIV31SpecValidator(json.load(answer)).validate()
print("the reference is OpenAPI 3.1")
