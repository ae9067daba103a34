// Which lines are seen: all of them, or those that were found, or those that are not folded away; as rows without a hole.

export class Rows {
  #lines;
  #search;
  #folds;
  /** Whether only lines that were found are rows. */
  isFiltered = false;
  /** Rises whenever rows that were there became others; what only comes behind them changes nothing. */
  version = 0;
  #known = '';
  /** `{from, to, before}`: lines that are folded away, and how many are before them. */
  #hidden = [];

  constructor(lines, search, folds) {
    [this.#lines, this.#search, this.#folds] = [lines, search, folds];
  }

  /** Learns what has changed since. */
  update() {
    const {first} = this.#lines;
    if (this.isFiltered) this.#search.forget();
    const known = this.isFiltered ? `found ${this.#search.version}` : `${first} ${this.#folds.version}`;
    if (known === this.#known) return;
    this.#known = known;
    this.version += 1;
    this.#hidden = [];
    let before = 0;
    for (const {start, end} of this.isFiltered ? [] : this.#folds.closed(first)) {
      const from = start + 1, to = end ?? Infinity;
      if (to < from) continue;
      this.#hidden.push({from, to, before});
      before += to - from + 1;
    }
  }

  get count() {
    if (this.isFiltered) return this.#search.hits.length;
    const {first, count} = this.#lines, last = this.#hidden.at(-1);
    if (!last) return count - first;
    return last.to === Infinity ? last.from - first - last.before : count - first - last.before - (last.to - last.from + 1);
  }

  /** The number of the line of a row. */
  number(row) {
    if (this.isFiltered) return this.#search.hits[row];
    const at = row + this.#lines.first;
    const before = lastWhere(this.#hidden, ({from, before}) => from - before <= at);
    return before ? at + before.before + (before.to - before.from + 1) : at;
  }

  line(row) {
    return this.#lines.line(this.number(row));
  }

  /** The row of a line, or the first one behind it where it is not seen. */
  row(number) {
    if (this.isFiltered) return firstNotBelow(this.#search.hits, number);
    const inside = lastWhere(this.#hidden, ({from}) => from <= number), {first} = this.#lines;
    if (!inside) return Math.max(0, number - first);
    if (number <= inside.to) return inside.from - first - inside.before;
    return number - first - inside.before - (inside.to - inside.from + 1);
  }
}

/** The last of a sorted list for which this holds; it holds for none behind one for which it does not. */
function lastWhere(list, holds) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(list[middle])) low = middle + 1;
    else high = middle;
  }
  return list[low - 1];
}

/** Where in rising numbers the first stands that is not below one. */
export function firstNotBelow(numbers, least) {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < least) low = middle + 1;
    else high = middle;
  }
  return low;
}
