// The part of a submit's form about other runs and other tries: when it is tried again, after which runs it comes, and what
// it shares a key with.

import {seconds} from '../format.js';
import {field} from '../parts.js';
import {html} from '../html.js';

/** What becomes of a run of the same key that has not begun: for the daemon, and for people. */
const CONFLICTS = [['wait', 'the new one waits behind it'], ['join', 'it stands for the new one, too'], ['replace', 'the new one takes its place'],
  ['debounce', 'it becomes the new one, and waits anew'], ['cancel', 'as before, and one that runs is canceled']];
/** The daemon's fields, and those of the form that make them. */
export const ORDER_FIELDS = ['retry', 'after', 'key', 'on_conflict', 'debounce_s', 'debounce_max_s'];
export const ORDER_INPUTS = ['again', 'again_delay', 'again_unless', 'after', 'key', 'debounce_s', 'debounce_max_s'];
const NOT_A_TIME = 'must be a time like 90s, 15m or 2h';

/** Its rows; `about` says what is wrong with one of the daemon's fields, `input` makes the form's. */
export const order = (about, input) => html`<fieldset class="order"><legend>When it fails</legend><div class="row">
    ${input('again', 'Try again', {hint: 'So many times; not at all if empty.', mode: 'numeric', about: 'retry'})}
    ${input('again_delay', 'After', {hint: 'Like 10s; then twice as long each time.'})}
    ${input('again_unless', 'Not after exit codes', {hint: 'Numbers with commas between.'})}
  </div></fieldset>
  <fieldset class="order"><legend>Beside other runs</legend><div class="row">
    ${input('after', 'Come after runs', {hint: '41, 42:ended, 43:failed: succeeded unless told otherwise.'})}
    ${input('key', 'Key', {hint: 'One run of a key runs at a time.'})}
    ${field({id: 'on_conflict', label: 'Of one that waits already', wrong: about('on_conflict'), control: ({id, invalid, described}) => html`
      <select id=${id} name="on_conflict" aria-invalid=${invalid} aria-describedby=${described}>
        ${CONFLICTS.map(([word, label]) => html`<option value=${word} .selected=${word === 'wait'}>${label}</option>`)}</select>`})}
    ${input('debounce_s', 'Wait anew for', {hint: 'Like 30s; where it becomes the new one.'})}
    ${input('debounce_max_s', 'At most', {hint: 'Like 10m, since the first of them.'})}
  </div></fieldset>`;

/** What the form says, into the run; what is left empty is left out. `model`: the run that it was filled from. */
export function takeOrder(run, wrong, said, model) {
  const time = (name, field = name) => {
    const value = seconds(said(name));
    if (Number.isNaN(value)) wrong.push({field, message: NOT_A_TIME});
    return value;
  };
  if (said('again')) {
    // What the form has no field for stays as it was.
    const retry = {...model?.retry, attempts: /^\d+$/.test(said('again')) ? Number(said('again')) + 1 : said('again')};
    if (said('again_delay')) retry.delay_s = time('again_delay', 'retry.delay_s');
    if (retry.max_delay_s < retry.delay_s) delete retry.max_delay_s;
    const codes = words(said('again_unless')).map(whole);
    if (codes.length || model?.retry) retry.unless_exit = codes;
    run.retry = retry;
  }
  const after = words(said('after')).map(word => word.split(':'));
  if (after.length) run.after = after.map(([id, when]) => (when === undefined ? whole(id) : {run: whole(id), when}));
  if (said('key')) run.key = said('key');
  if (said('on_conflict') && said('on_conflict') !== 'wait') run.on_conflict = said('on_conflict');
  for (const name of ['debounce_s', 'debounce_max_s']) if (said(name)) run[name] = time(name);
}

/** The fields of the form as a run would have had them; what became of others when it came is no longer known of it. */
export function orderOf({retry, after, key}) {
  return {
    again: retry ? String(retry.attempts - 1) : '', again_delay: retry ? `${retry.delay_s}s` : '', again_unless: (retry?.unless_exit ?? []).join(', '),
    after: (after ?? []).map(({run, when}) => (when === 'succeeded' ? run : `${run}:${when}`)).join(', '),
    key: key ?? '', on_conflict: 'wait',
  };
}

const words = text => text.split(/[\s,]+/).filter(Boolean);

/** A number where it is one, so that the daemon says what is wrong with what is not. */
const whole = text => (/^\d+$/.test(text) ? Number(text) : text);
