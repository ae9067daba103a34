// Changes a run that waits: where and when it is to start, and what it is called.

import {get, patch} from '../api.js';
import {seconds} from '../format.js';
import {field, trouble} from '../parts.js';
import {html, render} from '../html.js';

/** Asks what to change and changes it; answers whether it has been. */
export async function edit(run) {
  const queues = (await get('/v1/queues')).queues.map(queue => queue.name);
  const dialog = document.createElement('dialog');
  dialog.setAttribute('aria-labelledby', 'edit');
  let [wrong, error, isBusy] = [[], null, false];
  const about = name => wrong.filter(({field}) => field.split(/[.[]/)[0] === name).map(({message}) => message);
  const input = (name, label, value, {hint, mode = 'text'} = {}) => field({id: `edit-${name}`, label, hint, wrong: about(name), control: ({id, invalid, described}) => html`
    <input id=${id} name=${name} type="text" inputmode=${mode} autocomplete="off" autocapitalize="off" spellcheck="false" value=${value} aria-invalid=${invalid} aria-describedby=${described}>`});
  const send = async event => {
    event.preventDefault();
    const {change, wrong: found} = changed(run, new FormData(event.target));
    [wrong, error, isBusy] = [found, null, true];
    draw();
    try {
      if (!wrong.length && Object.keys(change).length) await patch(`/v1/runs/${run.id}`, change);
      if (!wrong.length) dialog.close('done');
    } catch (refused) {
      if (refused.violations?.length) wrong = refused.violations;
      else error = refused;
    }
    isBusy = false;
    draw();
  };
  const draw = () => render(html`<h2 id="edit">Change run ${run.id}</h2>
    <form @submit=${send} novalidate>
      ${trouble(error)}
      ${wrong.filter(({field}) => !['name', 'queue', 'priority', 'tags', 'timeout_s', 'not_before'].includes(field.split(/[.[]/)[0])).map(({field, message}) => trouble(`${field} ${message}`))}
      ${input('name', 'Name', run.name ?? '')}
      ${field({id: 'edit-queue', label: 'Queue', wrong: about('queue'), control: ({id, invalid, described}) => html`
        <select id=${id} name="queue" aria-invalid=${invalid} aria-describedby=${described}>${queues.map(queue => html`<option ?selected=${queue === run.queue}>${queue}</option>`)}</select>`})}
      ${input('priority', 'Priority', String(run.priority), {hint: '-1000 to 1000; high starts first.'})}
      ${input('tags', 'Tags', run.tags.join(' '), {hint: 'Words with spaces between.'})}
      ${input('timeout_s', 'Timeout', run.timeout_s === null ? '' : `${run.timeout_s}s`, {hint: 'Like 90s, 15m, 2h; none if empty.'})}
      ${field({id: 'edit-not_before', label: 'Not before', hint: 'It may start at once if this is empty.', wrong: about('not_before'), control: ({id, invalid, described}) => html`
        <input id=${id} name="not_before" type="datetime-local" value=${local(run.not_before)} aria-invalid=${invalid} aria-describedby=${described}>`})}
      <div class="buttons"><button type="button" @click=${() => dialog.close('')}>Not now</button>
        <button class="first" ?disabled=${isBusy}>Change it</button></div>
    </form>`, dialog);
  draw();
  document.body.append(dialog);
  dialog.showModal();
  return new Promise(done => {
    dialog.onclose = () => {
      dialog.remove();
      done(dialog.returnValue === 'done');
    };
  });
}

/** What of the form is not as the run is, and what cannot be read. */
function changed(run, given) {
  const said = name => String(given.get(name) ?? '').trim(), change = {}, wrong = [];
  if (said('name') !== (run.name ?? '')) change.name = said('name') || null;
  if (said('queue') !== run.queue) change.queue = said('queue');
  if (said('priority') !== String(run.priority)) change.priority = /^[+-]?\d+$/.test(said('priority')) ? Number(said('priority')) : said('priority');
  const tags = said('tags').split(/[\s,]+/).filter(Boolean);
  if (tags.join(' ') !== run.tags.join(' ')) change.tags = tags;
  const timeout = said('timeout_s') ? seconds(said('timeout_s')) : null;
  if (Number.isNaN(timeout)) wrong.push({field: 'timeout_s', message: 'must be a time like 90s, 15m or 2h'});
  else if (timeout !== run.timeout_s) change.timeout_s = timeout;
  if (said('not_before') !== local(run.not_before)) change.not_before = said('not_before') ? new Date(said('not_before')).toISOString() : null;
  return {change, wrong};
}

/** A time as an input for times has it: in this browser's zone, to the minute. */
function local(time) {
  if (!time) return '';
  const at = new Date(time);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
