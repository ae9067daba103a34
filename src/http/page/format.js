// Times, durations and sizes as people read them. Nothing here touches the page.

/** How far the daemon's clock is ahead of this machine's, in milliseconds; `api.js` learns it from answers. */
let aheadMs = 0;

export function learnClock(dateHeader) {
  const there = Date.parse(dateHeader ?? '');
  if (Number.isNaN(there)) return;
  const ahead = there - Date.now();
  // The header counts whole seconds.
  aheadMs = Math.abs(ahead) > 2_000 ? ahead : 0;
}

/** Now, by the daemon's clock. */
export const now = () => Date.now() + aheadMs;

const two = number => String(number).padStart(2, '0');

/** 0.42 s, 7.3 s, 42 s, 3 min 05 s, 2 h 10 min, 3 d 4 h. */
export function duration(ms) {
  const s = Math.max(0, ms) / 1_000;
  if (s < 1) return `${s.toFixed(2)} s`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min ${two(Math.floor(s % 60))} s`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ${two(Math.floor(s / 60) % 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor(s / 3_600) % 24} h`;
}

/** How long ago, in one unit. */
export function ago(time) {
  const s = (now() - Date.parse(time)) / 1_000;
  if (s < -1) return `in ${unit(-s)}`;
  return s < 5 ? 'now' : `${unit(s)} ago`;
}

/** How long until, in one unit. */
export const until = time => unit(Math.max(0, (Date.parse(time) - now()) / 1_000));

function unit(s) {
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

/** The whole time in this browser's zone. */
export function moment(time) {
  if (!time) return '';
  const at = new Date(time);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(time)}`;
}

/** 06:32:01.123, behind its date where that is not today's. */
export const stamp = time => (moment(time).slice(0, 10) === moment(now()).slice(0, 10) ? clock(time) : moment(time));

/** 06:32:01.123 in this browser's zone. */
export function clock(time) {
  const at = new Date(time);
  const ms = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}

export function bytes(count) {
  if (count < 1_024) return `${count} B`;
  const power = Math.min(4, Math.floor(Math.log2(count) / 10));
  const value = count / 1_024 ** power;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${['', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`;
}

export const number = count => count.toLocaleString('en').replaceAll(',', '\u202f');

export const plural = (count, word) => `${number(count)} ${word}${count === 1 ? '' : 's'}`;

/** Any value that came as JSON, as one line of text. */
export function text(value) {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

// What `is_hostile` of src/text.rs is to a terminal; a line's end and a tab are none on a page.
const HOSTILE = /(?![\n\t\ufe0e\ufe0f])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** A text with everything written out that is not seen, or that shows the rest in another order. */
export const shown = said => said.replace(HOSTILE, character => `\\u{${character.codePointAt(0).toString(16)}}`);

/** How long a run has taken, or takes, in milliseconds; null where it has not started. */
export function runTook(run) {
  if (!run.started_at) return null;
  return (run.ended_at ? Date.parse(run.ended_at) : now()) - Date.parse(run.started_at);
}

/** What a run is called: its name, else the beginning of what it runs. */
export const title = run => run.name ?? command(run);

/** What a run runs, on one line as a shell would be given it. */
export function command(run) {
  const rest = run.truncated?.some(field => field === 'command' || field === 'script') ? '…' : '';
  if (run.script !== null && run.script !== undefined) return run.script.trim() + rest;
  return (run.command ?? []).map(quoted).join(' ') + rest;
}

/** A word as a shell would be given it. */
export const quoted = word => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** Why a run ended as it did, in words. */
export function outcome(run) {
  if (run.error) return run.error;
  if (run.reason === 'signaled') return `ended by signal ${run.signal}`;
  if (run.reason === 'oom') return 'out of memory';
  if (run.reason === 'daemon_lost') return 'the daemon died under it';
  if (run.reason === 'shutdown') return 'the daemon was stopped';
  if (run.reason === 'timeout') return run.timeout_s ? `took longer than ${duration(run.timeout_s * 1_000)}` : 'timed out';
  if (run.status === 'failed' && run.exit_code !== null) return `exit code ${run.exit_code}`;
  return '';
}

/** `90`, `90s`, `15m`, `2h`, `1d` in seconds; NaN for anything else. */
export function seconds(input) {
  const found = /^\s*(\d+)\s*(s|m|min|h|d)?\s*$/.exec(input);
  return found ? Number(found[1]) * {s: 1, m: 60, min: 60, h: 3_600, d: 86_400}[found[2] ?? 's'] : NaN;
}

/** `timed_out` as words. */
export const words = name => text(name).replaceAll('_', ' ');

export const capital = said => said.charAt(0).toUpperCase() + said.slice(1);
