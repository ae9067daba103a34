// Everything about one run that comes by its stream: its lines, its other events in order, what is gone, and how it is.
//
// Nothing here touches the page; a view watches `changed` and shows what it finds.

import {get, Refused} from './api.js';
import {bytes, capital, duration, moment, outcome, plural, runTook, text, words} from './format.js';
import {Lines} from './lines.js';
import {Stream} from './stream.js';

/** Entries of the list of events that are kept. */
const ENTRIES_MAX = 20_000;
/** Kinds after which the run itself is asked for again. */
const CHANGING = new Set(['queued', 'started', 'cancel_requested', 'changed', 'attempt_ended', 'finished']);

export class RunFeed {
  /** As `GET /v1/runs/:id` says; null until it has. */
  run = null;
  lines = new Lines();
  /** `{event}`, `{gap}`, or `{output: {from, to, chars}}` for what was printed between two others. */
  entries = [];
  /** What came for a terminal and is not drawn yet: `{text}`, `{bytes}`, `{size}`, `{gap}`, or `{isNew}` where it begins anew. */
  drawn = [];
  /** Entries that went because there were too many. */
  forgotten = 0;
  /** Whether the stored events are all here. */
  isCaughtUp = false;
  /** `{attempt, from, to, how}`: which lines each attempt printed, where there were several; `to` is null for the last. */
  attempts = [];
  /** Why there is nothing to see any more; null while there is. */
  gone = null;
  /** Why the run could not be asked for; null once it could. */
  unread = null;
  #stream = null;
  #timer = 0;
  #changed;

  constructor(id, changed) {
    this.id = id;
    this.#changed = changed;
    const on = {
      frame: frame => this.#take(frame),
      restart: reason => this.#restart(reason),
      gone: refused => this.#leave(refused),
    };
    this.#stream = new Stream({path: `/v1/runs/${id}/events`, unit: 'seq', start: '0', on});
    this.refresh();
  }

  close() {
    clearTimeout(this.#timer);
    this.#stream.close();
  }

  /** Asks for the run again. */
  async refresh() {
    try {
      const run = await get(`/v1/runs/${this.id}`);
      if (run.last_seq >= (this.run?.last_seq ?? 0)) this.run = run;
      this.unread = null;
    } catch (error) {
      if (error instanceof Refused && [404, 410].includes(error.status)) return this.#leave(error);
      this.unread = error;
    }
    this.#changed();
  }

  #leave(refused) {
    this.gone = refused;
    this.close();
    this.#changed();
  }

  #restart(reason) {
    [this.run, this.lines] = [null, new Lines()];
    [this.entries, this.forgotten, this.isCaughtUp, this.attempts] = [[], 0, false, []];
    this.drawn.push({isNew: true});
    const why = reason === 'instance_changed' ? 'The daemon has another database now' : 'The daemon has fewer events now';
    this.lines.note('warning', `${why}: everything is read again.`, new Date().toISOString());
    this.refresh();
  }

  #take(frame) {
    if (frame.type === 'event') this.#event(frame);
    else if (frame.type === 'gap') this.#gap(frame);
    else if (frame.type === 'caught_up') this.isCaughtUp = true;
    else if (frame.type === 'end') this.#ended();
    this.#changed();
  }

  /** What has ended can still be deleted, which the events of all runs tell. */
  #ended() {
    this.#soon(0);
    const on = {
      frame: frame => (frame.type === 'hello' || frame.type === 'gap' || isRemoved(frame, this.id)) && this.#soon(0),
      restart: () => this.#soon(0),
      gone: () => {},
    };
    this.#stream = new Stream({path: '/v1/events?kinds=removed', unit: 'id', start: 'latest', on});
  }

  #event(event) {
    if (event.kind === 'output') {
      const {stream, text: plain, base64} = event.data;
      const printed = plain ?? decoded(base64 ?? '');
      if (stream === 'pty') this.drawn.push(plain === undefined ? {bytes: bytesOf(base64 ?? '')} : {text: plain});
      else this.lines.output(stream === 'stderr' ? 'stderr' : 'stdout', printed, event.at);
      const last = this.entries.at(-1);
      if (last?.output) Object.assign(last.output, {to: event.seq, chars: last.output.chars + printed.length});
      else this.#enter({output: {from: event.seq, to: event.seq, chars: printed.length}});
      return;
    }
    this.#enter({event});
    if (event.kind === 'changed' && event.data.pty) this.drawn.push({size: event.data.pty});
    if (event.kind === 'queued' && event.data.attempt > 1) this.drawn.push({isNew: true});
    // What is read again from the start is no news.
    const isNews = event.seq > (this.run?.last_seq ?? 0);
    if (isNews) this.#apply(event);
    const note = noteOf(event, this.run);
    if (note) {
      this.lines.finish();
      if (note.isEnd) this.lines.folds.finish(this.lines.count);
      this.lines.note(note.kind, note.text, event.at);
    }
    this.#tried(event);
    if (isNews && CHANGING.has(event.kind)) this.#soon(150);
  }

  /** Keeps which lines are of which attempt. */
  #tried({kind, data}) {
    if (kind === 'started') this.attempts.push({attempt: data.attempt, from: this.lines.count, to: null, how: null});
    const last = this.attempts.at(-1);
    if (kind === 'attempt_ended' && last) Object.assign(last, {to: this.lines.count, how: howOf(data)});
  }

  /** What an event says of the run, before the run itself has been asked for. */
  #apply({seq, kind, at, data}) {
    if (this.run) this.run = {...this.run, ...changeOf(kind, at, data), last_seq: seq};
  }

  #gap(gap) {
    this.#enter({gap});
    const isTold = this.lines.missing !== null;
    this.lines.gap(gap.trimmed);
    this.drawn.push({gap: gapText(gap, isTold)});
    this.lines.note('warning', gapText(gap, isTold), null);
  }

  #enter(entry) {
    this.entries.push(entry);
    if (this.entries.length <= ENTRIES_MAX) return;
    this.entries.shift();
    this.forgotten += 1;
  }

  #soon(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), ms);
  }
}

/** Whether this tells that a run was removed. */
const isRemoved = (frame, id) => frame.type === 'event' && frame.data.ranges.some(({first, last}) => id >= first && id <= last);

/** What an event changes of a run. */
export function changeOf(kind, at, data) {
  if (kind === 'queued') return {status: 'queued', attempt: data.attempt};
  if (kind === 'started') return {status: 'running', started_at: at, attempt: data.attempt, progress: null};
  if (kind === 'progress') return {progress: data};
  if (kind === 'cancel_requested') return {cancel_requested_at: at};
  if (kind === 'changed' && data.pty) return {pty: data.pty};
  if (kind !== 'finished') return {};
  const {status, reason, exit_code, signal, error, usage} = data;
  return {status, reason, exit_code, signal, error, usage, ended_at: at, pid: null};
}

/** What a gap says where it is; where it is not the first one, what is missing in all was told. */
export function gapText({from, to, reason, trimmed}, isTold = false) {
  const why = reason === 'quota' ? 'more was printed than is kept' : reason === 'pruned' ? 'they were removed' : reason;
  if (!trimmed) return from === to ? `Event ${from} is gone: ${why}.` : `Events ${from} to ${to} are gone: ${why}.`;
  const here = to - from + 1;
  if (trimmed.events === here) return `Missing here: ${missingText(trimmed)}; ${why}.`;
  const inAll = isTold ? '' : ` In all ${plural(trimmed.events, 'piece')} are missing: ${missingText(trimmed)}.`;
  return `Missing here: ${plural(here, 'piece')} of output; ${why}.${inAll}`;
}

/** How much was printed and is not kept. */
export const missingText = ({lines, bytes: size}) => [lines == null ? '' : plural(lines, 'line'), bytes(size)].filter(Boolean).join(', ');

/** What of an event stands among the output; null for most. */
function noteOf({kind, data, at}, run) {
  if (kind === 'queued' && data.attempt > 1) return {kind: 'note', text: `Queued again, as attempt ${data.attempt}${data.not_before ? `, not before ${moment(data.not_before)}` : ''}.`};
  if (kind === 'started' && data.attempt > 1) return {kind: 'note', text: `Attempt ${data.attempt} started.`};
  if (kind === 'attempt_ended') return {kind: 'warning', text: `Attempt ${data.attempt} ended: ${words(data.reason)}.`, isEnd: true};
  if (kind === 'cancel_requested') {
    const reason = data.reason ? `: ${text(data.reason)}` : '';
    return {kind: 'warning', text: `A cancel was asked for by ${text(data.by)}${reason}.`};
  }
  if (kind === 'left_behind') return {kind: 'warning', text: leftText(data)};
  if (kind === 'message') return {kind: levelled(data.level), text: text(data.text ?? data)};
  if (kind !== 'finished') return null;
  const took = data.duration_ms ?? (run && runTook({...run, ended_at: at}));
  const after = took === null || took === undefined ? '' : ` after ${duration(took)}`;
  const why = outcome({...data, timeout_s: run?.timeout_s ?? null});
  return {kind: data.status === 'succeeded' ? 'good' : 'bad', text: `${capital(words(data.status))}${after}${why ? `: ${why}` : ''}.`, isEnd: true};
}

/** How an attempt ended, in a few words. */
const howOf = ({exit_code: code, signal, reason}) => (code !== null ? `exit code ${code}` : signal !== null ? `signal ${signal}` : words(reason));

/** What lives on after a run, or did. */
export function leftText({pids, names, count, ended}) {
  const named = pids.map((pid, nth) => `${pid} (${names[nth]})`).join(', ');
  const more = count > pids.length ? ` and ${count - pids.length} more` : '';
  return `${ended ? 'Ended with the run' : 'Still running after the end of the run'}: ${named}${more}.`;
}

const levelled = level => (/^(error|critical|fatal)/i.test(level) ? 'bad' : /^warn/i.test(level) ? 'warning' : 'note');

/** What was printed between two other events. */
export const outputText = ({from, to, chars}) => `${plural(to - from + 1, 'piece')} of output, ${plural(chars, 'character')}`;

const bytesOf = base64 => Uint8Array.from(atob(base64), character => character.charCodeAt(0));

const decoded = base64 => new TextDecoder().decode(bytesOf(base64));
