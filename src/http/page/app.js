// The page's frame: who is here, where in the page they are, and what is told to all views alike.
//
// A view is an object with `render()`, which answers what to show, a `title`, and maybe: `enter()` and `leave()`,
// `go(parameters)` for another part of the same view, `rendered(root)` when it is in the page, `ticks`, true while it
// shows time that passes. It calls `update` when it has changed; then the whole page is described again, and lit-html
// changes what is different.

import {askAhead, enroll, logOut, may, session, Unreachable, whoAmI} from './api.js';
import {capital, plural, shown} from './format.js';
import {link} from './stream.js';
import {html, nothing, render} from './html.js';
import {AccessView} from './views/access.js';
import {EnterView} from './views/enter.js';
import {JobsView} from './views/jobs.js';
import {QueuesView} from './views/queues.js';
import {RunView} from './views/run.js';
import {RunsView} from './views/runs.js';
import {SubmitView} from './views/submit.js';

const root = document.querySelector('#app');
const page = {
  view: null,
  key: '',
  /** The list of runs, as it was left: going back finds it as it was. */
  kept: null,
  said: '',
  trouble: null,
  update,
  draw,
  /** Says something that happened, to eyes and screen readers. */
  say(text) {
    page.said = text;
    update();
  },
};

let isDue = false;

function update() {
  if (isDue) return;
  isDue = true;
  // A hidden page has no frames, but a title that people glance at.
  if (document.hidden) setTimeout(draw, 250);
  else requestAnimationFrame(draw);
}

function draw() {
  isDue = false;
  render(frame(), root);
  const title = page.view?.title;
  document.title = title ? `${shown(title)} · Runabout` : 'Runabout';
  page.view?.rendered?.(root);
}

/** What the address says: which view, and what of it. */
function routed() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [first = '', second = '', third = ''] = path.split('/');
  if (first === 'runs' && /^\d+$/.test(second)) return [`run ${second}`, RunView, {id: Number(second), part: third, query}];
  if (first === 'submit') return [`submit ${query}`, SubmitView, {query}];
  // A session that is bound to jobs may see those and their runs.
  if (first === 'jobs' || session.value?.role === 'trigger') return ['jobs', JobsView, {}];
  if (first === 'queues') return ['queues', QueuesView, {}];
  if (first === 'access') return ['access', AccessView, {}];
  return [`runs ${query}`, RunsView, {query}];
}

function go() {
  const [key, View, parameters] = session.value ? routed() : ['enter', EnterView, {}];
  if (key === page.key) {
    page.view?.go?.(parameters);
    return update();
  }
  const isFirst = page.key === '';
  leave();
  [page.key, page.said] = [key, ''];
  const {kept} = page;
  page.view = kept?.key === key ? kept.view : new View(page, parameters);
  page.view.enter?.();
  isDue = true;
  draw();
  scrollTo(0, kept?.key === key ? kept.scrolled : 0);
  // A screen reader goes on where the new view begins.
  if (!isFirst) root.querySelector('h1')?.focus({preventScroll: true});
}

function leave() {
  if (!page.view) return;
  page.view.leave?.();
  if (page.view instanceof RunsView) page.kept = {key: page.key, view: page.view, scrolled: scrollY};
}

const frame = () => html`
  <a class="skip" href="#main" @click=${skip}>Skip to content</a>
  ${session.value ? header() : nothing}
  ${disconnected()}
  <main id="main" tabindex="-1" data-view=${page.key.split(' ')[0]}>
    ${page.trouble ? html`<p class="trouble" role="alert">${page.trouble} <button type="button" @click=${start}>Try again</button></p>` : nothing}
    ${page.view?.render() ?? nothing}
  </main>
  <p class="said" role="status">${page.said}</p>`;

const header = () => html`<header>
  <a class="brand" href="#/runs"><img src="/page/icon.svg" alt="" width="22" height="22">Runabout</a>
  <nav aria-label="Main">
    ${session.value.role === 'trigger' ? nothing : tab('runs', 'Runs')}
    ${tab('jobs', 'Jobs')}
    ${may('operator') ? tab('submit', 'Submit') : nothing}
    ${session.value.role === 'trigger' ? nothing : tab('queues', 'Queues')}
    ${may('admin') ? tab('access', 'Access') : nothing}
  </nav>
  <div class="who">
    <span class="name" title="Your session and its role">${session.value.name} <span class="role">${session.value.role}</span></span>
    <button type="button" class="quiet" @click=${theme} aria-label="Colours: ${themeName()}"><span aria-hidden="true">◐</span> ${capital(themeName())}</button>
    ${session.value.id === null ? nothing : html`<button type="button" class="quiet" @click=${out}>Log out</button>`}
  </div>
</header>`;

const tab = (name, label) => {
  const isHere = page.key.startsWith(name) || (name === 'runs' && page.key.startsWith('run '));
  return html`<a href="#/${name}" aria-current=${isHere ? 'page' : nothing}>${label}</a>`;
};

/** Says that nothing is live, when it comes back, and lets nobody wait for that. A moment's loss is not worth a word. */
function disconnected() {
  const state = link.value;
  if (!session.value || !state || !['waiting', 'connecting'].includes(state.phase) || state.failures < 1) return nothing;
  const s = state.until ? Math.max(0, Math.ceil((state.until - Date.now()) / 1_000)) : 0;
  const text = state.phase === 'waiting' && s > 0 ? `Next try in ${plural(s, 'second')}.` : 'Trying now …';
  return html`<div class="banner" role="status" aria-live="polite"><strong>Disconnected.</strong>
    <span aria-live="off">${text}</span> <button type="button" @click=${state.retry}>Now</button></div>`;
}

function skip(event) {
  event.preventDefault();
  root.querySelector('main').focus();
}

async function out() {
  try {
    await logOut();
  } catch (error) {
    page.say(error.message);
  }
}

const THEMES = ['auto', 'light', 'dark'];
const themeName = () => document.documentElement.dataset.theme ?? 'auto';

function theme() {
  setTheme(THEMES[(THEMES.indexOf(themeName()) + 1) % THEMES.length]);
  update();
}

function setTheme(name) {
  const {dataset} = document.documentElement;
  if (name === 'auto' || !THEMES.includes(name)) delete dataset.theme;
  else dataset.theme = name;
  try {
    localStorage.setItem('theme', name);
  } catch {
    // A browser that keeps nothing forgets this too.
  }
}

function rememberedTheme() {
  try {
    return localStorage.getItem('theme') ?? 'auto';
  } catch {
    return 'auto';
  }
}

/** The token of `#enroll=TOKEN`, which leaves the address bar and the history before anything else is done with it. */
function takeToken() {
  const token = /^#enroll=(.+)$/.exec(location.hash)?.[1];
  if (token) history.replaceState(null, '', `${location.pathname}${location.search}#/runs`);
  return token ? decodeURIComponent(token) : null;
}

async function start() {
  const token = takeToken();
  page.trouble = null;
  try {
    // What the first view shows needs no answer to who asks.
    const [, View, parameters] = routed(), first = token ? null : View.first?.(parameters);
    if (first) askAhead(first);
    if (token) await enroll(token);
    else await whoAmI();
  } catch (error) {
    if (error instanceof Unreachable) page.trouble = 'The daemon does not answer.';
    else EnterView.refusal = error;
    if (token) await whoAmI().catch(() => {});
  }
  if (session.value === undefined && !page.trouble) session.set(null);
  go();
}

setTheme(rememberedTheme());
session.watch(() => {
  page.kept = null;
  go();
});
link.watch(update);
addEventListener('hashchange', () => (location.hash.startsWith('#enroll=') ? start() : go()));
setInterval(() => {
  if (!document.hidden && (page.view?.ticks || link.value?.phase === 'waiting')) update();
}, 1_000);
start();
