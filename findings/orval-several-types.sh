#!/bin/sh
# Where a body or an answer may be of several types, the generated call says nothing of the type, or reads nothing.
#
# orval 7.13.2, `--client fetch`. The body of `POST /thing` may be JSON or text: the call writes JSON of whatever it is given
# and sets no Content-Type, so that `fetch` says text/plain, and a text goes out in quotation marks. With JSON alone it says
# application/json. The answer of `GET /thing` is JSON, or lines of JSON for those who accept them: the call never parses it,
# and returns the whole Response as `stream`, though its types have a variant with `data`.
#
# Guess: the first type, or the one that fits the argument and the answer.
# Seen:
#   one type: application/json {"a":1}
#   two types: text/plain;charset=UTF-8 {"a":1}
#   two types, given a text: text/plain;charset=UTF-8 "hello"
#   one type of answer: data
#   two types of answer: stream
# Needs Node and npm.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund orval@7.13.2 typescript@5.9.3
cat >api.json <<'JSON'
{
  "openapi": "3.1.0",
  "info": { "title": "Things", "version": "1" },
  "paths": {
    "/thing": {
      "put": {
        "operationId": "sendOne",
        "requestBody": { "content": { "application/json": { "schema": { "type": "object" } } } },
        "responses": { "200": { "description": "It", "content": { "application/json": { "schema": { "type": "object" } } } } }
      },
      "post": {
        "operationId": "sendTwo",
        "requestBody": { "content": { "application/json": { "schema": { "type": "object" } }, "text/plain": { "schema": { "type": "string" } } } },
        "responses": { "200": { "description": "It", "content": { "application/json": { "schema": { "type": "object" } } } } }
      },
      "get": {
        "operationId": "read",
        "responses": {
          "200": {
            "description": "It",
            "content": { "application/json": { "schema": { "type": "object" } }, "application/x-ndjson": { "schema": { "type": "string" } } }
          }
        }
      }
    }
  }
}
JSON
node_modules/.bin/orval --input api.json --output ./client.ts --client fetch >log 2>&1 || { cat log; exit 1; }
node_modules/.bin/tsc --target es2022 --module nodenext --skipLibCheck client.ts >log 2>&1 || { cat log; exit 1; }
cat >show.js <<'JS'
import {createServer} from 'node:http';
import {read, sendOne, sendTwo} from './client.js';

let got;
const server = createServer(async (request, response) => {
  let body = '';
  for await (const piece of request) body += piece;
  got = `${request.headers['content-type']} ${body}`;
  response.setHeader('content-type', 'application/json').end('{"b":2}');
});
await new Promise(ready => server.listen(0, '127.0.0.1', ready));
const plain = globalThis.fetch;
globalThis.fetch = (path, init) => plain(`http://127.0.0.1:${server.address().port}${path}`, init);

const one = await sendOne({a: 1});
console.log('one type:', got);
await sendTwo({a: 1});
console.log('two types:', got);
await sendTwo('hello');
console.log('two types, given a text:', got);
const holds = answer => ['data', 'stream'].filter(name => name in answer).join();
console.log('one type of answer:', holds(one));
console.log('two types of answer:', holds(await read()));
process.exit();
JS
node show.js >seen
cat seen
cat >expected <<'TEXT'
one type: application/json {"a":1}
two types: text/plain;charset=UTF-8 {"a":1}
two types, given a text: text/plain;charset=UTF-8 "hello"
one type of answer: data
two types of answer: stream
TEXT
diff expected seen
