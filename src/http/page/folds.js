// Groups of lines that can be folded away, by the markers that commands print for it: GitHub's `::group::TITLE` and
// `::endgroup::`, Azure's `##[group]TITLE` and `##[endgroup]`, GitLab's `section_start:TIME:NAME` and `section_end:TIME:NAME`.
//
// What a command prints decides no more than where a group begins and ends and what it is called. Every expression here is
// bounded, and a line is looked at only where it begins as a marker does.

/** Groups that are kept; what comes behind them is lines. */
const GROUPS_MAX = 20_000;
/** Groups within one another. */
const DEPTH_MAX = 32;

const OPENS = /^(?:::group::|##\[group\])(.{0,1000})/s;
const CLOSES = /^(?:::endgroup::|##\[endgroup\])/;
// The marker, a carriage return and an erasure that hide it in a terminal, the title.
const SECTION = /^(?:\x1b\[0K)?section_(start|end):\d{1,19}:([\w.-]{1,200})(\[[^\]]{0,200}\])?(?:\r(?:\x1b\[0K)?)?(.{0,1000})/s;
// What a marker begins with: a line that does not is none.
const BEGINNINGS = new Set([...':#s\x1b'].map(one => one.charCodeAt(0)));

export class Folds {
  /** `{start, end, title, name, depth, isClosed}` by where they start; `end` is null while it is open. */
  groups = [];
  /** Rises when something was folded or unfolded. */
  version = 0;
  #open = [];
  #byStart = new Map();
  /** Whether what is to come is folded at once. */
  #isAllClosed = false;

  /** Looks at a line that is finished. */
  take(number, text) {
    if (!BEGINNINGS.has(text.charCodeAt(0))) return;
    const opens = OPENS.exec(text);
    if (opens) return this.#begin(number, opens[1], null, false);
    if (CLOSES.test(text)) return this.#end(number, group => group.name === null);
    const section = SECTION.exec(text);
    if (!section) return;
    const [, which, name, options = '', title] = section;
    if (which === 'end') this.#end(number, group => group.name === name);
    else this.#begin(number, title || name, name, /\bcollapsed=true\b/.test(options));
  }

  /** Nothing goes on: another attempt begins, or something is missing. */
  finish(number) {
    while (this.#open.length) this.#close(this.#open.pop(), number - 1);
  }

  #begin(start, title, name, isClosed) {
    if (this.groups.length >= GROUPS_MAX || this.#open.length >= DEPTH_MAX) return;
    const group = {start, end: null, title, name, depth: this.#open.length, isClosed: isClosed || this.#isAllClosed};
    this.groups.push(group);
    this.#open.push(group);
    this.#byStart.set(start, group);
    if (group.isClosed) this.version += 1;
  }

  #end(number, fits) {
    const at = this.#open.findLastIndex(fits);
    if (at < 0) return;
    // Those within it that were never ended end with it.
    for (const group of this.#open.splice(at)) this.#close(group, number);
  }

  #close(group, number) {
    group.end = number;
    if (group.isClosed) this.version += 1;
  }

  /** The group that begins with a line. */
  startingAt(number) {
    return this.#byStart.get(number);
  }

  toggle(group) {
    group.isClosed = !group.isClosed;
    this.version += 1;
  }

  /** Folds all, or unfolds all. */
  all(isClosed) {
    this.#isAllClosed = isClosed;
    for (const group of this.groups) group.isClosed = isClosed;
    this.version += 1;
  }

  /** Unfolds what hides a line. */
  reveal(number) {
    for (const group of this.groups) {
      if (group.start >= number) break;
      if (group.isClosed && (group.end === null || number <= group.end)) this.toggle(group);
    }
  }

  /** The folded groups from a line on that are within no other folded one. */
  closed(first) {
    let until = -1;
    return this.groups.filter(group => {
      // Where its first line is not kept, nothing could unfold it.
      if (!group.isClosed || group.start <= until || group.start < first) return false;
      until = group.end ?? Infinity;
      return true;
    });
  }
}
