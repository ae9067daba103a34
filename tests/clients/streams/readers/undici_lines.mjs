// Lines of JSON with undici's fetch.

import {Agent, fetch} from 'undici';

import {BEARER, Reader} from './reader.mjs';

const reader = new Reader();
const dispatcher = new Agent({bodyTimeout: 30_000});
const headers = {...BEARER, Accept: 'application/x-ndjson'};
while (!reader.isOver) {
  let why = 'the stream ended';
  try {
    const answer = await fetch(reader.url, {headers, dispatcher});
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    let rest = '';
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop();
      for (const line of lines) reader.got(line);
    }
  } catch (error) {
    why = `${error.message}: ${error.cause?.message ?? ''}`;
  }
  if (!reader.isOver) await reader.again(why);
}
