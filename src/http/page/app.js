// The page: who is here, where in the page they are, and what all views share.
//
// A view is an object with `render()`, which answers what to show, a `title`, and maybe: `enter()` and `leave()`,
// `go(parameters)` for another part of the same view, `rendered(root)` when it is in the page, `again()` when the daemon
// answers after it did not, `ticks`, true while it shows time that passes, `state`, the state of a run that the tab's
// picture tells. It calls `update` when it has changed; then the whole page is described again, and lit-html changes what
// is different.

import {askAhead, enroll, isBusy, left, logOut, pressed, session, silentSince, Unreachable, whoAmI} from './api.js';
import {showState} from './favicon.js';
import {shown} from './format.js';
import {frame} from './frame.js';
import {render} from './html.js';
import {Messages} from './messages.js';
import {Notices} from './notices.js';
import {listenForKeys} from './shortcuts.js';
import {link} from './stream.js';
import {lookAtSystem, system} from './system.js';
import {AccessView} from './views/access.js';
import {forgetDrafts} from './views/draft.js';
import {EnterView} from './views/enter.js';
import {JobsView} from './views/jobs.js';
import {QueuesView} from './views/queues.js';
import {RunView} from './views/run.js';
import {RunsView} from './views/runs.js';
import {SubmitView} from './views/submit.js';

/** How often a daemon that does not answer is asked whether it does, in milliseconds. */
const PROBE_MS = 3_000;

const root = document.querySelector('#app');
const page = {
  view: null,
  key: '',
  /** The list of runs, as it was left: going back finds it as it was. */
  kept: null,
  /** What is being done for somebody, by its name; null while nothing is. */
  doing: null,
  messages: new Messages(update),
  update,
  draw,
  /** Says something that happened, to eyes and screen readers. */
  say: text => page.messages.say(text),
  /** Says it until somebody has put it away; `href` is where there is more of it. */
  stay: (text, href) => page.messages.stay(text, href),
  /** Says what went wrong with something, which has a name. */
  fail: (error, what) => page.messages.fail(error, what),
  /**
   * Does something for somebody, one thing at a time, and says what came of it; `what` is its name. Whether it was done.
   */
  async deed(what, task, said) {
    if (page.doing !== null) return false;
    page.doing = what;
    page.messages.settle(what);
    try {
      await task();
      if (said) page.say(said);
      return true;
    } catch (error) {
      // Without a session the page says so by itself.
      if (error.status !== 401) page.fail(error, what);
      return false;
    } finally {
      page.doing = null;
      update();
    }
  },
  /** Asks whether the daemon answers. */
  async probe() {
    await whoAmI().catch(() => {});
    known();
  },
  logOut: () => page.deed('log out', async () => {
    await logOut();
    forgetDrafts();
  }),
};
page.notices = new Notices(page);

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
  render(frame(page), root);
  const title = page.view?.title;
  document.title = title ? `${shown(title)} · Runabout` : 'Runabout';
  showState(silentSince.value !== null || link.value?.failures > 0 ? 'offline' : page.view?.state);
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
  page.key = key;
  const {kept} = page;
  page.view = kept?.key === key ? kept.view : new View(page, parameters);
  page.view.enter?.();
  isDue = true;
  draw();
  scrollTo(0, kept?.key === key ? kept.scrolled : 0);
  // A screen reader goes on where the new view begins.
  if (!isFirst) root.querySelector('h1')?.focus({preventScroll: true});
  lookAtSystem();
}

function leave() {
  if (!page.view) return;
  page.view.leave?.();
  if (page.view instanceof RunsView) page.kept = {key: page.key, view: page.view, scrolled: scrollY};
}

/** The token of `#enroll=TOKEN`, which leaves the address bar and the history before anything else is done with it. */
function takeToken() {
  const token = /^#enroll=(.+)$/.exec(location.hash)?.[1];
  if (token) history.replaceState(null, '', `${location.pathname}${location.search}#/runs`);
  return token ? decodeURIComponent(token) : null;
}

async function start() {
  const token = takeToken();
  try {
    // What the first view shows needs no answer to who asks.
    const [, View, parameters] = routed(), first = token ? null : View.first?.(parameters);
    if (first) askAhead(first);
    if (token) await enroll(token);
    else await whoAmI();
  } catch (error) {
    // One that does not answer is asked until it does.
    if (!(error instanceof Unreachable)) EnterView.refusal = error;
    if (token) await whoAmI().catch(() => {});
    if (token && error instanceof Unreachable) EnterView.refusal = error;
  }
  known();
  update();
}

/** Whoever the daemon has answered and not named has no session. */
function known() {
  if (session.value === undefined && silentSince.value === null) session.set(null);
}

session.watch(value => {
  page.kept = null;
  if (value) left.why = null;
  page.messages.clear();
  go();
  lookAtSystem({now: true});
  page.notices.start();
});
link.watch((state, before) => {
  if (state?.phase === 'live' && before?.phase !== 'live') lookAtSystem({now: before?.failures > 0});
  update();
});
for (const watched of [isBusy, system]) watched.watch(update);
silentSince.watch((since, before) => {
  if (since === null && before !== null) page.view?.again?.();
  update();
});
addEventListener('hashchange', () => (location.hash.startsWith('#enroll=') ? start() : go()));
document.addEventListener('visibilitychange', () => lookAtSystem());
for (const press of ['pointerdown', 'keydown']) addEventListener(press, pressed, {capture: true, passive: true});
listenForKeys(update);
let isProbing = false;
setInterval(() => {
  lookAtSystem();
  if (!document.hidden && (page.view?.ticks || link.value?.phase === 'waiting' || silentSince.value !== null)) update();
}, 1_000);
setInterval(async () => {
  if (silentSince.value === null || isProbing || document.hidden) return;
  isProbing = true;
  await page.probe();
  isProbing = false;
}, PROBE_MS);
start();
