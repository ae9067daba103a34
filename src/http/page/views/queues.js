// The queues: how many run at once, what waits, and whether anything starts at all.

import {get, may, put, remove} from '../api.js';
import {plural, title} from '../format.js';
import {confirm, field, reading, trouble} from '../parts.js';
import {Soon} from '../soon.js';
import {html, nothing} from '../html.js';
import {repeat} from '../vendor/lit-html/directives/repeat.js';

/** Runs of a queue that are named. */
const NAMED = 5;

export class QueuesView {
  title = 'Queues';
  #page;
  #queues = null;
  /** What runs and waits in each, by its name. */
  #runs = new Map();
  /** Why there is nothing newer to see. */
  #unread = null;
  #wrong = [];
  #soon = new Soon(() => this.#load());

  constructor(page) {
    this.#page = page;
  }

  /** The daemon answers again. */
  again() {
    this.#load();
  }

  enter() {
    this.#soon.follow('queued,started,finished,changed');
    this.#load();
  }

  leave() {
    this.#soon.stop();
  }

  async #load() {
    try {
      this.#queues = (await get('/v1/queues')).queues;
      this.#runs = new Map(await Promise.all(this.#queues.map(queue => this.#runsOf(queue))));
      this.#unread = null;
    } catch (error) {
      this.#unread = error;
    }
    this.#page.update();
  }

  async #runsOf({name, queued, running}) {
    if (!queued && !running) return [name, []];
    const {runs} = await get(`/v1/runs?status=queued,running&limit=200&queue=${name}`);
    // As they will start; what is held back comes after what is not.
    runs.sort((a, b) => (b.status === 'running') - (a.status === 'running') || a.held_by.length - b.held_by.length
      || b.priority - a.priority || a.id - b.id);
    // Of more than were asked for the next ones are not known.
    return [name, queued + running > runs.length ? runs.filter(run => run.status === 'running') : runs];
  }

  async #change(name, change, said) {
    const isDone = await this.#page.deed(`queue ${name}`, () => put(`/v1/queues/${name}`, change), said);
    await this.#load();
    return isDone;
  }

  #slots = queue => async ({target}) => {
    const slots = Number(target.value);
    const isDone = await this.#change(queue.name, {slots}, `${queue.name} has ${plural(slots, 'slot')}.`);
    if (!isDone) target.value = String(queue.slots);
  };

  #pause = queue => () => this.#change(queue.name, {paused: !queue.paused},
    queue.paused ? `${queue.name} goes on.` : `${queue.name} is paused: nothing more starts, what runs goes on.`);

  #delete = queue => async () => {
    const isSure = await confirm({
      title: `Delete the queue “${queue.name}”?`,
      text: 'Nothing can be submitted to it any more. Runs that it has run stay.',
      action: 'Delete the queue',
      isGrave: true,
    });
    if (!isSure) return;
    await this.#page.deed(`queue ${queue.name}`, () => remove(`/v1/queues/${queue.name}`), `${queue.name} is deleted.`);
    await this.#load();
  };

  #make = async event => {
    event.preventDefault();
    const form = event.target, given = new FormData(form), name = given.get('queue').trim();
    this.#wrong = /^[a-z0-9_-]{1,64}$/.test(name) ? [] : [{field: 'name', message: 'must be 1 to 64 of a-z, 0-9, _ and -'}];
    if (this.#queues?.some(queue => queue.name === name)) this.#wrong = [{field: 'name', message: 'is there already'}];
    if (this.#wrong.length) return this.#page.update();
    await this.#page.deed('new queue', async () => {
      try {
        await put(`/v1/queues/${name}`, {slots: Number(given.get('slots'))});
        form.reset();
      } catch (error) {
        if (!error.violations?.length) throw error;
        this.#wrong = error.violations;
      }
    });
    await this.#load();
  };

  #about = name => this.#wrong.filter(({field}) => field === name).map(({message}) => message);

  render() {
    if (!this.#queues) return html`<h1 tabindex="-1">Queues</h1>${this.#unread ? trouble(this.#unread) : reading}`;
    return html`<h1 tabindex="-1">Queues</h1>
      ${trouble(this.#unread)}
      <ul class="queues">${repeat(this.#queues, queue => queue.name, queue => this.#queue(queue))}</ul>
      ${may('admin') ? this.#form() : nothing}`;
  }

  #queue(queue) {
    const {name, slots, paused, queued, running} = queue, runs = this.#runs.get(name) ?? [];
    return html`<li class="queue ${paused ? 'is-paused' : ''}">
      <div class="line1"><h2>${name}</h2> ${paused ? html`<span class="tag">paused</span>` : nothing}
        ${may('admin') ? html`<div class="deeds">
          <label>Slots <input type="number" min="1" max="1024" .value=${String(slots)} @change=${this.#slots(queue)} aria-label="Slots of ${name}"></label>
          <button type="button" aria-pressed=${String(paused)} ?disabled=${this.#page.doing !== null} aria-busy=${String(this.#page.doing === `queue ${name}`)} @click=${this.#pause(queue)}>${paused ? 'Resume' : 'Pause'}<span class="unseen"> ${name}</span></button>
          ${name === 'default' ? nothing : html`<button type="button" class="grave" @click=${this.#delete(queue)}>Delete …<span class="unseen"> ${name}</span></button>`}
        </div>` : nothing}</div>
      <p class="facts"><span>${running} of ${plural(slots, 'slot')} taken</span>
        <a href="#/runs?status=queued&queue=${name}">${queued} waiting</a></p>
      ${runs.length ? html`<ol class="waits">${runs.slice(0, NAMED).map(run => html`
        <li><span class="state ${run.status}"><i></i>${run.status === 'running' ? 'runs' : run.held_by.length ? 'held back' : 'next'}</span>
          <a href="#/runs/${run.id}"><span class="id">${run.id}</span> ${title(run).slice(0, 200)}</a>
          ${run.priority ? html`<span class="hint">priority ${run.priority}</span>` : nothing}</li>`)}</ol>`
        : queued + running ? nothing : html`<p class="hint">Nothing runs, nothing waits.</p>`}
    </li>`;
  }

  #form() {
    return html`<form class="make" @submit=${this.#make} novalidate><h2>New queue</h2><div class="row">
      ${field({id: 'queue', label: 'Name', wrong: this.#about('name'), control: ({id, invalid, described}) => html`
        <input id=${id} name="queue" type="text" autocomplete="off" autocapitalize="off" spellcheck="false" aria-invalid=${invalid} aria-describedby=${described}>`})}
      ${field({id: 'slots', label: 'Slots', wrong: this.#about('slots'), control: ({id, invalid, described}) => html`
        <input id=${id} name="slots" type="number" min="1" max="1024" value="1" aria-invalid=${invalid} aria-describedby=${described}>`})}
      <button class="first" ?disabled=${this.#page.doing !== null} aria-busy=${String(this.#page.doing === 'new queue')}>Make it</button></div></form>`;
  }
}

