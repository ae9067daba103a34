#!/bin/sh
# A webhook with a good signature is refused, by an error of JSON, because its body is a text.
#
# Standard Webhooks sign bytes of any type. standardwebhooks 1.1.0 (Python), standardwebhooks 1.1.1 and svix 1.99.1 (npm, Node
# 20) check the signature and then parse the body as JSON, and raise what that raises; svix 2.9.1 (Python) does not. A receiver
# that catches their own error of verification alone ends with a server error, for which the sender tries again for days. With a
# wrong signature all four raise their own error.
#
# Guess: whether a webhook is verified depends on its signature.
# Seen:
#   python standardwebhooks: good raises JSONDecodeError, wrong raises WebhookVerificationError
#   python svix: good is verified, wrong raises WebhookVerificationError
#   npm standardwebhooks: good raises SyntaxError, wrong raises WebhookVerificationError
#   npm svix: good raises SyntaxError, wrong raises WebhookVerificationError
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check standardwebhooks==1.1.0 svix==2.9.1
npm install --silent --no-audit --no-fund --ignore-scripts standardwebhooks@1.1.1 svix@1.99.1
cat >sign.py <<'PY'
import base64, hashlib, hmac, json, time

secret, body, at = bytes(range(32)), "backup failed", str(int(time.time()))
good = base64.b64encode(hmac.digest(secret, f"msg_1.{at}.{body}".encode(), "sha256")).decode()
wrong = base64.b64encode(hashlib.sha256().digest()).decode()
headers = lambda signature: {"webhook-id": "msg_1", "webhook-timestamp": at, "webhook-signature": f"v1,{signature}"}
told = {"good": headers(good), "wrong": headers(wrong)}
json.dump({"secret": "whsec_" + base64.b64encode(secret).decode(), "body": body, "told": told}, open("hook.json", "w"))
PY
cat >verify.py <<'PY'
import json

import standardwebhooks.webhooks, svix.webhooks

hook = json.load(open("hook.json"))
for name, library in ("standardwebhooks", standardwebhooks.webhooks), ("svix", svix.webhooks):
    seen = []
    for which, headers in hook["told"].items():
        try:
            library.Webhook(hook["secret"]).verify(hook["body"], headers)
            seen.append(f"{which} is verified")
        except Exception as error:
            seen.append(f"{which} raises {type(error).__name__}")
    print(f"python {name}:", ", ".join(seen))
PY
cat >verify.mjs <<'JS'
import {readFileSync} from 'node:fs';
import * as standardwebhooks from 'standardwebhooks';
import * as svix from 'svix';

const {secret, body, told} = JSON.parse(readFileSync('hook.json', 'utf8'));
for (const [name, {Webhook}] of Object.entries({standardwebhooks, svix})) {
	const seen = Object.entries(told).map(([which, headers]) => {
		try {
			new Webhook(secret).verify(body, headers);
			return `${which} is verified`;
		} catch (error) {
			return `${which} raises ${error.constructor.name}`;
		}
	});
	console.log(`npm ${name}:`, seen.join(', '));
}
JS
python3 sign.py
{
	venv/bin/python verify.py
	node verify.mjs
} >seen
cat seen
cat >expected <<'TEXT'
python standardwebhooks: good raises JSONDecodeError, wrong raises WebhookVerificationError
python svix: good is verified, wrong raises WebhookVerificationError
npm standardwebhooks: good raises SyntaxError, wrong raises WebhookVerificationError
npm svix: good raises SyntaxError, wrong raises WebhookVerificationError
TEXT
diff expected seen
