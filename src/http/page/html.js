// lit's templates, in which no text hides or turns what is there: names, commands and what is wrong come from anybody.

import {shown} from './format.js';
import {html as template, nothing, render, svg} from './vendor/lit-html/lit-html.js';

/** Of each template, which of its values stand in a tag: those are attributes and stay as they are. */
const known = new WeakMap();

export const html = (strings, ...values) => {
  if (!known.has(strings)) known.set(strings, inTags(strings));
  const isInTag = known.get(strings);
  return template(strings, ...values.map((value, nth) => (typeof value === 'string' && !isInTag[nth] ? shown(value) : value)));
};

function inTags(strings) {
  let before = '';
  return strings.slice(0, -1).map(string => {
    before += string;
    return before.lastIndexOf('<') > before.lastIndexOf('>');
  });
}

export {nothing, render, svg};
