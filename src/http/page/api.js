// Requests to the daemon, and who this browser is to it. Every refusal becomes a `Refused` with the daemon's own words.

import {agent} from './agent.js';
import {learnClock, now} from './format.js';
import {stored} from './keep.js';

/** A request that has no answer after this long gets none. */
const ANSWER_MS = 10_000;
/** A request that somebody waits for is busy after this long. */
const BUSY_MS = 400;
/** What begins sooner after a press was asked for by it; anything else is the page's own. */
const PRESS_MS = 1_000;

/** The daemon said no. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.status = status;
    this.code = problem.code ?? '';
    this.details = problem.details ?? {};
  }

  /** `[{field, reason, message}]` of what was sent. */
  get violations() {
    return this.details.violations ?? [];
  }
}

/** The daemon did not answer: nothing listens there, or, where `isLate`, it has not within `ANSWER_MS`. */
export class Unreachable extends Error {
  constructor(method, isLate) {
    const isRead = method === 'GET';
    super(isLate
      ? `The daemon has not answered within ${ANSWER_MS / 1_000} s${isRead ? '' : ': whether it has done it is not known'}.`
      : 'The daemon does not answer.');
    this.isLate = isLate;
  }
}

/** A value that tells those who watch it when it changes, and what it was before. */
export class Watched {
  #watchers = new Set();

  constructor(value) {
    this.value = value;
  }

  set(value) {
    if (value === this.value) return;
    const before = this.value;
    this.value = value;
    for (const tell of [...this.#watchers]) tell(value, before);
  }

  /** Answers what ends the watch. */
  watch(tell) {
    this.#watchers.add(tell);
    return () => this.#watchers.delete(tell);
  }
}

/** When something was pressed last, by `performance.now()`. */
let pressedAt = -Infinity;

/** Something was pressed. */
export const pressed = () => (pressedAt = performance.now());

/** Whether somebody waits for an answer, for longer than nobody notices. */
export const isBusy = new Watched(false);

/** Since when the daemon has not answered, in milliseconds; null while it does. */
export const silentSince = new Watched(null);

/** Something came from the daemon. */
export const heard = () => silentSince.set(null);

/** Who this browser is: undefined until it is known, null without a session, else what `GET /v1/session` says. */
export const session = new Watched(undefined);

const RANKS = ['viewer', 'operator', 'admin'];

/** Why there is no session any more: `ended`, `expired` or `unknown`; null where there was none, or somebody logged out. */
export const left = {why: null};

/** The session that this browser had when it was last here: what it is told by when it is gone. No secret is in it. */
const known = stored('session');

/** There is no session any more. */
export function lose(why) {
  const had = session.value ?? known.get();
  const isOver = had?.expires_at && Date.parse(had.expires_at) <= now();
  left.why = had ? (isOver ? 'expired' : why) : null;
  session.set(null);
}

/** Whether this session may what needs a role. */
export const may = role => RANKS.indexOf(session.value?.role) >= RANKS.indexOf(role);

/** Sends a request and answers the JSON that comes; null where none does. */
export async function ask(method, path, body, headers = {}) {
  const options = {method, headers: {Accept: 'application/json', ...headers}, credentials: 'same-origin'};
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers['Content-Type'] = 'application/json';
  }
  const {response, text} = await answered(method, path, options);
  heard();
  learnClock(response.headers.get('Date'));
  if (response.ok) return text ? JSON.parse(text) : null;
  const refused = new Refused(response.status, parsed(text));
  if (response.status === 401 && path !== '/v1/enroll') lose('unknown');
  throw refused;
}

/** How many requests are waited for. */
let slow = 0;

/** Sends bytes as they are. */
export async function postBytes(path, bytes) {
  const headers = {Accept: 'application/json', 'Content-Type': 'application/octet-stream'};
  const {response, text} = await answered('POST', path, {method: 'POST', headers, body: bytes, credentials: 'same-origin'});
  heard();
  if (response.status === 401) lose('unknown');
  if (!response.ok) throw new Refused(response.status, parsed(text));
}

async function answered(method, path, options) {
  const begun = Date.now(), leaving = new AbortController();
  // What waits for the end of a run has that time as well.
  const waitMs = 1_000 * Number(/[?&]wait_s=(\d+)/.exec(String(path))?.[1] ?? 0);
  const limit = setTimeout(() => leaving.abort(), ANSWER_MS + waitMs);
  let isSlow = false;
  const timer = performance.now() - pressedAt > PRESS_MS ? 0 : setTimeout(() => {
    isSlow = true;
    slow += 1;
    isBusy.set(true);
  }, BUSY_MS);
  try {
    const response = await fetch(path, {...options, signal: leaving.signal});
    return {response, text: await response.text()};
  } catch {
    const isLate = leaving.signal.aborted;
    silentSince.set(silentSince.value ?? begun);
    throw new Unreachable(method, isLate);
  } finally {
    clearTimeout(timer);
    clearTimeout(limit);
    if (isSlow) slow -= 1;
    isBusy.set(slow > 0);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** What has been asked for before it is needed, by its path. */
const ahead = new Map();

/** Asks now for what `get` will be asked for in a moment. */
export function askAhead(path) {
  const answer = ask('GET', path);
  ahead.set(path, answer);
  answer.catch(() => ahead.delete(path));
}

export function get(path) {
  const answer = ahead.get(path);
  ahead.delete(path);
  return answer ?? ask('GET', path);
}

export const post = (path, body, headers) => ask('POST', path, body, headers);
export const put = (path, body) => ask('PUT', path, body);
export const patch = (path, body) => ask('PATCH', path, body);
export const remove = path => ask('DELETE', path);

/** Asks who this browser is. */
export async function whoAmI() {
  try {
    const found = await get('/v1/session');
    known.set(found);
    const {value} = session;
    if (!value || value.id !== found.id || value.role !== found.role || value.name !== found.name) session.set(found);
  } catch (error) {
    if (!(error instanceof Refused && error.status === 401)) throw error;
  }
}

/** Trades an enrollment token for a session, which the browser keeps as a cookie that no script can read. */
export async function enroll(token) {
  await post('/v1/enroll', {token, cookie: true, agent: agent()});
  await whoAmI();
}

/** Ends this browser's session. */
export async function logOut() {
  await remove('/v1/session');
  known.set(null);
  lose(null);
}
