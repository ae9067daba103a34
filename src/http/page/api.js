// Requests to the daemon, and who this browser is to it. Every refusal becomes a `Refused` with the daemon's own words.

import {learnClock} from './format.js';

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

/** The daemon did not answer. */
export class Unreachable extends Error {
  constructor() {
    super('the daemon does not answer');
  }
}

/** A value that tells those who watch it when it changes. */
export class Watched {
  #watchers = new Set();

  constructor(value) {
    this.value = value;
  }

  set(value) {
    if (value === this.value) return;
    this.value = value;
    for (const tell of [...this.#watchers]) tell(value);
  }

  /** Answers what ends the watch. */
  watch(tell) {
    this.#watchers.add(tell);
    return () => this.#watchers.delete(tell);
  }
}

/** Who this browser is: undefined until it is known, null without a session, else what `GET /v1/session` says. */
export const session = new Watched(undefined);

const RANKS = ['viewer', 'operator', 'admin'];

/** Whether this session may what needs a role. */
export const may = role => RANKS.indexOf(session.value?.role) >= RANKS.indexOf(role);

/** Sends a request and answers the JSON that comes; null where none does. */
export async function ask(method, path, body, headers = {}) {
  const options = {method, headers: {Accept: 'application/json', ...headers}, credentials: 'same-origin'};
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers['Content-Type'] = 'application/json';
  }
  let response, text;
  try {
    response = await fetch(path, options);
    text = await response.text();
  } catch {
    throw new Unreachable();
  }
  learnClock(response.headers.get('Date'));
  if (response.ok) return text ? JSON.parse(text) : null;
  const refused = new Refused(response.status, parsed(text));
  if (response.status === 401 && path !== '/v1/enroll') session.set(null);
  throw refused;
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
    session.set(await get('/v1/session'));
  } catch (error) {
    if (!(error instanceof Refused && error.status === 401)) throw error;
  }
}

/** Trades an enrollment token for a session, which the browser keeps as a cookie that no script can read. */
export async function enroll(token) {
  await post('/v1/enroll', {token, cookie: true});
  await whoAmI();
}

/** Ends this browser's session. */
export async function logOut() {
  await remove('/v1/session');
  session.set(null);
}
