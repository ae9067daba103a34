// A form for a run, empty or filled from another one. What the daemon finds wrong with it stands beside the field that it
// is about.

import {get, may, post, Refused} from '../api.js';
import {quoted, seconds} from '../format.js';
import {confirm, empty, field, reading, trouble} from '../parts.js';
import {html, nothing} from '../html.js';
import {draftOf, keepDraft} from './draft.js';
import {order, orderOf, ORDER_FIELDS, ORDER_INPUTS, takeOrder} from './order.js';

/** The daemon's field, and where it is in the form. */
const FIELDS = ['command', 'script', 'name', 'queue', 'priority', 'tags', 'timeout_s', 'delay_s', 'start_before', 'cwd', 'env', 'stdin', 'on_interrupt', 'keep', 'retry', 'after', 'key', 'on_conflict', 'debounce_s', 'debounce_max_s', 'stop_signal', 'left', 'limits', 'pty', 'survive'];

const SIGNALS = ['TERM', 'INT', 'HUP', 'QUIT', 'USR1', 'USR2'];

export class SubmitView {
  title = 'Submit';
  #page;
  #kind = 'script';
  #queues = ['default'];
  #wrong = [];
  #error = null;
  #isBusy = false;
  /** The same submit sent twice makes one run. */
  #sent = {body: '', key: ''};
  /** The run that the form is filled from: its number as it stands in the address, else nothing. */
  #from;
  /** That run; null where there is none, or it has not come. */
  #model = null;
  #unread = null;
  /** What the form begins with, until it is in it. */
  #filling = null;

  constructor(page, {query}) {
    this.#page = page;
    const from = new URLSearchParams(query).get('from') ?? '';
    this.#from = /^\d+$/.test(from) ? from : '';
    const draft = draftOf(this.#from);
    if (draft) [this.#kind, this.#filling] = [draft.kind, draft.values];
  }

  enter() {
    get('/v1/queues').then(({queues}) => {
      this.#queues = queues.map(queue => queue.name);
      // It was chosen before it could be.
      const chosen = draftOf(this.#from)?.values.queue ?? this.#model?.queue;
      if (chosen) this.#filling = {...this.#filling, queue: chosen};
      this.#page.update();
    }).catch(() => {});
    if (this.#from) this.#read();
  }

  /** The daemon answers again. */
  again() {
    this.enter();
  }

  async #read() {
    try {
      this.#model = await get(`/v1/runs/${this.#from}`);
      this.#unread = null;
      if (!draftOf(this.#from)) [this.#kind, this.#filling] = formOf(this.#model);
    } catch (error) {
      this.#unread = error;
    }
    this.#page.update();
  }

  /** Fills the form, when it is in the page. */
  rendered(root) {
    const form = root.querySelector('form.submit');
    if (!form || !this.#filling) return;
    for (const [name, value] of Object.entries(this.#filling)) {
      const control = form.elements.namedItem(name);
      if (control?.type === 'checkbox') control.checked = value === 'on';
      else if (control) control.value = value;
    }
    this.#filling = null;
    const said = new FormData(form);
    if (['cwd', 'delay_s', 'start_before', 'stdin', 'requeue', 'survive', 'kill_left', 'keep', 'terminal', ...ORDER_INPUTS].some(name => said.get(name)) || said.get('stop_signal') !== 'TERM') form.querySelector('details').open = true;
  }

  #keep = () => {
    const form = document.querySelector('form.submit');
    keepDraft(this.#from, {kind: this.#kind, values: Object.fromEntries(new FormData(form))});
  };

  #clear = () => {
    document.querySelector('form.submit').reset();
    keepDraft(this.#from, null);
    [this.#wrong, this.#error] = [[], null];
    if (this.#model) [this.#kind, this.#filling] = formOf(this.#model);
    this.#page.update();
  };

  #submit = async event => {
    event.preventDefault();
    const {run, wrong} = this.#run(new FormData(event.target));
    [this.#wrong, this.#error] = [wrong, null];
    if (!wrong.length && await this.#isMeant(run)) await this.#send(run);
    this.#page.update();
    if (this.#wrong.length) requestAnimationFrame(() => document.querySelector('[aria-invalid="true"]')?.focus());
  };

  /** Asks about values that could not be taken over and that nobody typed. */
  async #isMeant(run) {
    const bare = (this.#model?.env_keys ?? []).filter(name => run.env?.[name] === '');
    return !bare.length || confirm({
      title: `${bare.join(', ')} ${bare.length === 1 ? 'has' : 'have'} no value`,
      text: `Run ${this.#model.id} had one, which is never given back. It can be typed behind the name, or the line deleted.`,
      action: bare.length === 1 ? 'Queue it with an empty one' : 'Queue it with empty ones',
    });
  }

  async #send(run) {
    const body = JSON.stringify(run);
    if (body !== this.#sent.body) this.#sent = {body, key: newKey()};
    this.#isBusy = true;
    this.#page.update();
    try {
      const made = await post('/v1/runs', run, {'Idempotency-Key': this.#sent.key});
      keepDraft(this.#from, null);
      location.hash = `#/runs/${made.id}`;
    } catch (error) {
      if (error instanceof Refused && error.violations.length) this.#wrong = error.violations;
      else this.#error = error;
    }
    this.#isBusy = false;
  }

  /** The form as the daemon wants it; what is left empty is left out. */
  #run(given) {
    const run = {}, wrong = [], said = name => String(given.get(name) ?? '').trim();
    if (this.#kind === 'script') run.script = String(given.get('script')).replaceAll('\r\n', '\n');
    else run.command = lines(given.get('command'), false);
    for (const name of ['name', 'cwd']) if (said(name)) run[name] = said(name);
    if (said('queue') !== 'default') run.queue = said('queue');
    if (said('priority')) run.priority = whole(said('priority'));
    const tags = said('tags').split(/[\s,]+/).filter(Boolean);
    if (tags.length) run.tags = tags;
    for (const name of ['timeout_s', 'delay_s']) {
      if (!said(name)) continue;
      run[name] = seconds(said(name));
      if (Number.isNaN(run[name])) wrong.push({field: name, message: 'must be a time like 90s, 15m or 2h'});
    }
    if (said('start_before')) run.start_before = new Date(said('start_before')).toISOString();
    const env = lines(given.get('env'), true).map(line => [line, line.indexOf('=')]);
    for (const [line, at] of env) if (at < 1) wrong.push({field: 'env', message: `“${line}” must be NAME=value`});
    if (env.length) run.env = Object.fromEntries(env.map(([line, at]) => [line.slice(0, at), line.slice(at + 1)]));
    if (given.get('stdin')) run.stdin = {text: String(given.get('stdin')).replaceAll('\r\n', '\n')};
    if (given.get('terminal')) run.pty = {};
    // Where no text is given, it is typed.
    if (run.pty && !run.stdin) run.stdin = 'open';
    if (given.get('requeue')) run.on_interrupt = 'requeue';
    if (given.get('stop_signal') && given.get('stop_signal') !== 'TERM') run.stop_signal = given.get('stop_signal');
    if (given.get('survive')) run.survive = true;
    if (given.get('kill_left')) run.left = 'kill';
    if (given.get('keep')) run.keep = true;
    takeOrder(run, wrong, said, this.#model);
    return {run, wrong};
  }

  /** What is wrong with a field or with a part of it: `tags[2]` and `env.PATH` belong to `tags` and `env`. */
  #about(name) {
    return this.#wrong.filter(({field}) => field.split(/[.[]/)[0] === name).map(({field, message}) => `${partOf(field)}${message}`);
  }

  render() {
    if (!may('operator')) return html`<h1 tabindex="-1">Submit</h1>${empty('Not with this session', 'It may read; submitting needs the role operator.')}`;
    const elsewhere = this.#wrong.filter(({field}) => !FIELDS.includes(field.split(/[.[]/)[0]) || (field === 'command' && this.#kind === 'script'));
    if (this.#from && !this.#model) {
      return html`<h1 tabindex="-1">Run ${this.#from} again, changed</h1>${this.#unread
        ? html`${trouble(this.#unread)}<p><a class="button" href="#/submit">An empty form</a></p>` : reading}`;
    }
    const draft = draftOf(this.#from);
    return html`<h1 tabindex="-1">${this.#model ? `Run ${this.#from} again, changed` : 'Submit a run'}</h1>
      <form class="submit" @submit=${this.#submit} @input=${this.#keep} @change=${this.#keep} novalidate>
        ${trouble(this.#error)}
        ${elsewhere.map(({field, message}) => trouble(`${field} ${message}`))}
        ${this.#model ? this.#filledFrom(this.#model) : nothing}
        <div class="choice" role="group" aria-label="What to run">
          ${this.#choice('script', 'Shell script')}${this.#choice('command', 'Program and arguments')}
        </div>
        ${this.#kind === 'script' ? this.#area('script', 'Script', 'It is given to /bin/sh -c.', 8, 'df -h')
          : this.#area('command', 'Program and arguments, one a line', 'No shell reads them: spaces and quotes are part of the argument they stand in.', 6, 'ffmpeg\n-i\nmy film.mkv\nout.mp4')}
        <div class="row">
          ${this.#input('name', 'Name', {hint: 'What the list calls it.'})}
          ${field({id: 'queue', label: 'Queue', wrong: this.#about('queue'), control: ({id, invalid, described}) => html`
            <select id=${id} name="queue" aria-invalid=${invalid} aria-describedby=${described}>${this.#queues.map(queue => html`<option .selected=${queue === 'default'}>${queue}</option>`)}</select>`})}
          ${this.#input('priority', 'Priority', {hint: '-1000 to 1000; high starts first.', mode: 'numeric', placeholder: '0'})}
          ${this.#input('timeout_s', 'Timeout', {hint: 'Like 90s, 15m, 2h; none if empty.'})}
        </div>
        ${this.#input('tags', 'Tags', {hint: 'Words with spaces between.'})}
        ${this.#area('env', 'Environment, one NAME=value a line', 'The values are never shown again.', 3, '')}
        <details ?open=${['cwd', 'delay_s', 'start_before', 'stdin', 'stop_signal', ...ORDER_FIELDS].some(name => this.#about(name).length)}><summary>More</summary>
          <div class="row">
            ${this.#input('cwd', 'Directory', {hint: 'An absolute path.'})}
            ${this.#input('delay_s', 'Wait before it may start', {hint: 'Like 10m.'})}
            ${field({id: 'start_before', label: 'Start before', hint: 'Then it is started no more.', wrong: this.#about('start_before'), control: ({id, invalid, described}) => html`
              <input id=${id} name="start_before" type="datetime-local" aria-invalid=${invalid} aria-describedby=${described}>`})}
            ${field({id: 'stop_signal', label: 'Ask it to end by', wrong: this.#about('stop_signal'), control: ({id, invalid, described}) => html`
              <select id=${id} name="stop_signal" aria-invalid=${invalid} aria-describedby=${described}>${SIGNALS.map(signal => html`<option value=${signal} .selected=${signal === 'TERM'}>SIG${signal}</option>`)}</select>`})}
          </div>
          ${this.#area('stdin', 'Standard input', '', 3, '')}
          ${order(name => this.#about(name), (...given) => this.#input(...given))}
          <label class="check"><input type="checkbox" name="requeue"> Queue it again if the daemon stops under it</label>
          <label class="check"><input type="checkbox" name="survive"> Let its command outlive the daemon</label>
          <label class="check"><input type="checkbox" name="kill_left"> End with it what it leaves in the background</label>
          <label class="check"><input type="checkbox" name="keep"> Keep it when its time is up</label>
          <label class="check"><input type="checkbox" name="terminal"> Run it on a terminal, to type into</label>
        </details>
        <p class="buttons">${draft ? html`<button type="button" class="quiet" @click=${this.#clear}>Start afresh</button>` : nothing}
          <button class="first" ?disabled=${this.#isBusy} aria-busy=${String(this.#isBusy)}>Queue it</button></p>
      </form>`;
  }

  /** What of the run could not be taken over. */
  #filledFrom({id, env_keys, command}) {
    const isQuoted = command?.some(word => word.includes('\n'));
    return html`<p class="filled">The form is filled from <a href="#/runs/${id}">run ${id}</a>, which stays as it is.
      ${env_keys.length ? html`The ${env_keys.length === 1 ? 'value' : 'values'} of ${env_keys.join(', ')} ${env_keys.length === 1 ? 'is' : 'are'} never given back: type ${env_keys.length === 1 ? 'it' : 'them'} anew.` : nothing}
      Its standard input, if it had any, is not given back either.
      ${isQuoted ? 'An argument of it has several lines, which stand in no line of a list: it is a script now that does the same.' : nothing}</p>`;
  }

  #choice = (kind, label) => html`<button type="button" aria-pressed=${String(this.#kind === kind)} @click=${() => this.#choose(kind)}>${label}</button>`;

  #choose(kind) {
    [this.#kind, this.#wrong] = [kind, []];
    this.#page.update();
    requestAnimationFrame(this.#keep);
  }

  #input(name, label, {hint, mode, placeholder, about = name}) {
    return field({id: name, label, hint, wrong: this.#about(about), control: ({id, invalid, described}) => html`
      <input id=${id} name=${name} type="text" autocomplete="off" autocapitalize="off" spellcheck="false"
        inputmode=${mode ?? nothing} placeholder=${placeholder ?? nothing} aria-invalid=${invalid} aria-describedby=${described}>`});
  }

  #area(name, label, hint, rows, placeholder) {
    return field({id: name, label, hint, wrong: this.#about(name), control: ({id, invalid, described}) => html`
      <textarea id=${id} name=${name} rows=${rows} placeholder=${placeholder} autocomplete="off" autocapitalize="off" spellcheck="false"
        aria-invalid=${invalid} aria-describedby=${described}></textarea>`});
  }
}

/** A run as the form would have had it: which sort, and what stands in its fields. */
function formOf(run) {
  const isWhole = run.script === null && !run.command.some(word => word.includes('\n'));
  const values = {
    name: run.name ?? '', queue: run.queue, priority: run.priority ? String(run.priority) : '', tags: run.tags.join(' '),
    timeout_s: run.timeout_s === null ? '' : `${run.timeout_s}s`, cwd: run.cwd ?? '', env: run.env_keys.map(name => `${name}=`).join('\n'),
    requeue: run.on_interrupt === 'requeue' ? 'on' : '', stop_signal: run.stop_signal ?? 'TERM', survive: run.survive ? 'on' : '', kill_left: run.left === 'kill' ? 'on' : '', keep: run.keep ? 'on' : '', terminal: run.pty ? 'on' : '', ...orderOf(run),
  };
  if (isWhole) return ['command', {...values, command: run.command.join('\n')}];
  return ['script', {...values, script: run.script ?? `exec ${run.command.map(quoted).join(' ')}`}];
}

/** The part of a field that something is wrong with, as the person who filled it in knows it. */
function partOf(field) {
  const [, name, index, key] = /^(\w+)(?:\[(\d+)\])?(?:\.(.+))?$/.exec(field) ?? [];
  if (index !== undefined) return `${{tags: 'Tag', command: 'Line'}[name] ?? 'Entry'} ${Number(index) + 1} `;
  return key === undefined ? '' : `${key} `;
}

function lines(text, isTrimmed) {
  const all = String(text ?? '').replaceAll('\r\n', '\n').replace(/\n+$/, '').split('\n');
  return isTrimmed ? all.map(line => line.trim()).filter(Boolean) : all;
}

/** A number where it is one, so that the daemon says what is wrong with what is not. */
const whole = text => (/^[+-]?\d+$/.test(text) ? Number(text) : text);

/** A page that came by http has no randomUUID. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('');
