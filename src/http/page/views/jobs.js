// The jobs: when each is due, how its runs ended, what became of its times, and a button to start it. Somebody of the role
// `trigger` sees the jobs that they may start, and how what they started ends.

import {get, may, patch, post, session} from '../api.js';
import {capital, moment, words} from '../format.js';
import {badge, empty, field, since, trouble} from '../parts.js';
import {Soon} from '../soon.js';
import {html, nothing} from '../html.js';
import {repeat} from '../vendor/lit-html/directives/repeat.js';

/** Ends of a job that its strip shows. */
const ENDS = 30;
/** Times of a day that are named. */
const TIMES = 4;
const WEEK_MS = 7 * 86_400_000;
const PATIENCE_S = 60;

export class JobsView {
  title = 'Jobs';
  #page;
  #jobs = null;
  /** By a job's name: its last runs, its firings and the times of the coming week, where it is open. */
  #ends = new Map();
  #open = new Map();
  /** By a job's name: what was started from here, and what was wrong with its parameters. */
  #started = new Map();
  #wrong = new Map();
  #error = null;
  #soon = new Soon(() => this.#load());
  #isTrigger = session.value?.role === 'trigger';

  constructor(page) {
    this.#page = page;
  }

  enter() {
    this.#load();
    if (this.#isTrigger) return;
    this.#soon.follow('job_fired,job_skipped,job_changed,finished');
  }

  leave() {
    this.#soon.stop();
  }

  async #load() {
    try {
      const jobs = [];
      for (let next = '/v1/jobs'; next;) {
        const page = await get(next);
        jobs.push(...page.jobs);
        next = page.jobs.length ? page.next : null;
      }
      if (!this.#isTrigger) this.#ends = new Map(await Promise.all(jobs.slice(0, 50).map(job => this.#endsOf(job))));
      this.#jobs = jobs;
      this.#error = null;
      for (const name of this.#open.keys()) await this.#look(jobs.find(job => job.name === name));
    } catch (error) {
      this.#error = error;
    }
    this.#page.update();
  }

  async #endsOf({name}) {
    const {runs} = await get(`/v1/runs?limit=${ENDS}&job=${name}`);
    return [name, runs.reverse()];
  }

  async #look(job) {
    if (!job) return;
    const {firings} = await get(`/v1/jobs/${job.name}/firings?limit=${ENDS}`);
    const ask = {schedule: job.schedule, zone: job.zone, count: 200, every_from: job.created_at};
    const due = job.schedule ? (await post('/v1/jobs/preview', ask)).firings : [];
    this.#open.set(job.name, {firings, week: due.filter(({at}) => Date.parse(at) < Date.now() + WEEK_MS)});
  }

  #toggle = job => async event => {
    if (!event.target.open) return this.#open.delete(job.name);
    try {
      await this.#look(job);
    } catch (error) {
      this.#error = error;
    }
    this.#page.update();
  };

  #enable = job => async () => {
    try {
      await patch(`/v1/jobs/${job.name}`, {enabled: !job.enabled});
      this.#page.say(job.enabled ? `${job.name} is disabled: its schedule starts nothing.` : `${job.name} is enabled.`);
    } catch (error) {
      this.#error = error;
    }
    await this.#load();
  };

  #start = job => async event => {
    event.preventDefault();
    const form = event.target, given = new FormData(form), params = {};
    for (const [name, {type}] of Object.entries(job.params)) {
      const text = given.get(name);
      if (type === 'boolean') params[name] = text !== null;
      else if (type === 'integer') text === '' || (params[name] = Number(text));
      else if (type !== 'choice' || text) params[name] = text;
    }
    this.#wrong.delete(job.name);
    try {
      const run = await post(`/v1/jobs/${job.name}/runs`, {params}, {'Idempotency-Key': crypto.getRandomValues(new Uint32Array(4)).join('-')});
      this.#page.say(`${job.name} was started as run ${run.id}.`);
      this.#started.set(job.name, run);
      this.#follow(job.name, run.id);
    } catch (error) {
      this.#wrong.set(job.name, error);
    }
    this.#page.update();
  };

  /** Waits for the end of what was started here. */
  async #follow(name, id) {
    const isHere = () => !this.#soon.isStopped && this.#started.get(name)?.id === id;
    try {
      while (isHere()) {
        const run = await get(`/v1/runs/${id}?wait_s=${PATIENCE_S}`);
        if (!isHere()) return;
        this.#started.set(name, run);
        this.#page.update();
        if (run.ended_at) return this.#page.say(`${name}: run ${id} ${words(run.status)}.`);
      }
    } catch (error) {
      this.#wrong.set(name, error);
      this.#page.update();
    }
  }

  render() {
    const heading = html`<h1 tabindex="-1">Jobs</h1>${trouble(this.#error)}`;
    if (!this.#jobs) return heading;
    if (!this.#jobs.length) return html`${heading}${empty('No jobs', 'A job is made with “runabout job set”, or by PUT /v1/jobs/NAME.')}`;
    return html`${heading}<ul class="queues jobs">${repeat(this.#jobs, job => job.name, job => this.#job(job))}</ul>`;
  }

  #job(job) {
    const {name, enabled, broken, next_at: next, last} = job, schedule = [job.schedule ?? []].flat();
    return html`<li class="queue ${enabled ? '' : 'is-paused'}">
      <div class="line1"><h2>${name}</h2>
        ${broken ? html`<span class="tag">broken</span>` : enabled ? nothing : html`<span class="tag">disabled</span>`}
        ${may('operator') ? html`<div class="deeds"><button type="button" aria-pressed=${String(enabled)} @click=${this.#enable(job)}>
          ${enabled ? 'Disable' : 'Enable'}<span class="unseen"> ${name}</span></button></div>` : nothing}</div>
      ${trouble(broken)}
      ${this.#isTrigger ? nothing : html`<p class="facts">
        <span>${schedule.length ? `${schedule.join(' | ')} (${job.zone})` : job.after_job ? `after ${job.after_job.job}` : 'by hand'}</span>
        ${next ? html`<span>next <time datetime=${next}>${moment(next).slice(0, 19)}</time></span>` : nothing}
        ${last ? html`<a href="#/runs/${last.run}">${badge(last.status)} run ${last.run}</a> <a href="#/runs?job=${name}">all runs</a>` : nothing}</p>
        ${this.#strip(this.#ends.get(name) ?? [])}`}
      ${may('operator') || this.#isTrigger ? this.#form(job) : nothing}
      ${this.#isTrigger ? nothing : html`<details @toggle=${this.#toggle(job)}><summary>Times<span class="unseen"> of ${name}</span></summary>
        ${this.#times(this.#open.get(name))}</details>`}
    </li>`;
  }

  #strip(ends) {
    if (!ends.length) return nothing;
    return html`<p class="ends" aria-label="The last ${ends.length} runs">${ends.map(run => html`
      <a href="#/runs/${run.id}" class="state ${run.status}" title="run ${run.id}: ${words(run.status)}, ${moment(run.created_at)}"><i></i><span class="unseen">${run.id} ${words(run.status)}</span></a>`)}</p>`;
  }

  #form(job) {
    const started = this.#started.get(job.name), wrong = this.#wrong.get(job.name);
    const about = name => (wrong?.violations ?? []).filter(({field}) => field === `params.${name}`).map(({message}) => message);
    return html`<form class="make" @submit=${this.#start(job)} novalidate><div class="row">
      ${Object.entries(job.params).map(([name, param]) => field({
        id: `${job.name}-${name}`, label: capital(words(name)), wrong: about(name), control: attributes => input(name, param, attributes),
      }))}
      <button class="first">Run now<span class="unseen"> ${job.name}</span></button></div>
      ${wrong?.violations?.length ? nothing : trouble(wrong)}
      ${started ? html`<p class="facts" role="status">${badge(started.status)} <a href="#/runs/${started.id}">run ${started.id}</a> ${since(started.ended_at ?? started.created_at)}</p>` : nothing}
    </form>`;
  }

  #times(open) {
    if (!open) return nothing;
    const days = new Map();
    for (const due of open.week) {
      const day = due.local.slice(0, 10);
      days.set(day, [...(days.get(day) ?? []), due]);
    }
    return html`${days.size ? html`<h3>The coming week</h3><ul class="week">${[...days].map(([day, dues]) => html`<li><b>${day}</b>
        ${dues.slice(0, TIMES).map(due => html`<span title=${due.why ?? nothing}>${due.local.slice(11, 16)}${due.why ? '*' : ''}</span> `)}
        ${dues.length > TIMES ? html`<span class="hint">and ${dues.length - TIMES} more</span>` : nothing}</li>`)}</ul>` : nothing}
      ${open.firings.length ? html`<h3>What became of the last ones</h3><ol class="waits">${open.firings.map(firing => html`<li>
        <time datetime=${firing.scheduled_for}>${moment(firing.scheduled_for).slice(0, 19)}</time>
        ${firing.run ? html`<a href="#/runs/${firing.run}">run ${firing.run}</a>` : nothing}
        ${firing.skipped ? html`<span class="tag">${words(firing.skipped)}</span>` : nothing}
        ${firing.behind ? html`<span class="hint">behind <a href="#/runs/${firing.behind}">run ${firing.behind}</a></span>` : nothing}
        ${firing.count > 1 ? html`<span class="hint">for ${firing.count} times</span>` : nothing}</li>`)}</ol>` : nothing}`;
  }
}

/** The input of a parameter. */
function input(name, {type, of, min, max, default: value}, {id, invalid, described}) {
  switch (type) {
    case 'choice': return html`<select id=${id} name=${name} aria-invalid=${invalid} aria-describedby=${described}>
      ${value === undefined || value === null ? html`<option value="">–</option>` : nothing}
      ${of.map(one => html`<option value=${one} ?selected=${one === value}>${one}</option>`)}</select>`;
    case 'integer': return html`<input id=${id} name=${name} type="number" min=${min ?? nothing} max=${max ?? nothing} value=${value ?? ''}
      aria-invalid=${invalid} aria-describedby=${described}>`;
    case 'boolean': return html`<input id=${id} name=${name} type="checkbox" ?checked=${value ?? false} aria-describedby=${described}>`;
    default: return html`<input id=${id} name=${name} type="text" maxlength=${max ?? 1_000} value=${value ?? ''} autocomplete="off"
      aria-invalid=${invalid} aria-describedby=${described}>`;
  }
}
