// Where the rows of a log are, and how far one can scroll: the model behind its window, which touches no page.
//
// Rows that are not wrapped are all of one height. Of wrapped ones the height is estimated by their characters; nothing
// depends on the estimate being right but where the thumb of the scroll bar stands. A browser bounds the height of an
// element (Firefox at 17.9 million pixels, the others at 33.5 million, less where it is zoomed): what is higher is scrolled
// in proportion.

/** The most pixels that an element gets. */
export const PIXELS_MAX = 6_000_000;
/** Rows whose heights are added up once. */
const BLOCK_ROWS = 256;

export class Heights {
  /** Of a row, and how many characters one line of it takes. */
  #metrics = {line: 20, columns: Infinity};
  /** The characters of a row. */
  #length;
  #blocks = [];
  #before = [];
  #count = 0;
  #total = 0;

  constructor(length) {
    this.#length = length;
  }

  /** `columns` is Infinity where nothing is wrapped. All is measured anew. */
  measure(line, columns) {
    this.#metrics = {line, columns};
    this.reset();
  }

  /** The rows are others than before. */
  reset() {
    [this.#blocks, this.#before, this.#count, this.#total] = [[], [], 0, 0];
  }

  /** There are so many rows now; those that were there are the same. */
  grow(count) {
    if (count < this.#count) this.reset();
    if (this.#isUniform) {
      this.#total = count * this.#metrics.line;
    } else if (count > this.#count) {
      // The last one was not full, or its last row has grown.
      const from = Math.max(0, Math.ceil(this.#count / BLOCK_ROWS) - 1);
      this.#total = this.#before[from] ?? this.#total;
      for (let block = from; block * BLOCK_ROWS < count; block += 1) {
        this.#before[block] = this.#total;
        this.#blocks[block] = this.#sum(block * BLOCK_ROWS, Math.min(count, (block + 1) * BLOCK_ROWS));
        this.#total += this.#blocks[block];
      }
    }
    this.#count = count;
  }

  get #isUniform() {
    return this.#metrics.columns === Infinity;
  }

  /** Pixels of all rows together. */
  get total() {
    return this.#total;
  }

  /** Pixels that the element which is scrolled gets. */
  get pixels() {
    return Math.min(PIXELS_MAX, this.#total);
  }

  /** Pixels of one row. */
  of(row) {
    const {line, columns} = this.#metrics;
    return this.#isUniform ? line : line * Math.max(1, Math.ceil(this.#length(row) / columns));
  }

  #sum(from, to) {
    let sum = 0;
    for (let row = from; row < to; row += 1) sum += this.of(row);
    return sum;
  }

  /** Pixels before a row. */
  before(row) {
    if (this.#isUniform) return row * this.#metrics.line;
    const block = Math.min(Math.floor(row / BLOCK_ROWS), this.#blocks.length - 1);
    return block < 0 ? 0 : this.#before[block] + this.#sum(block * BLOCK_ROWS, row);
  }

  /** `{row, offset}`: the row at so many pixels, and how far in it they are. */
  at(pixels) {
    if (!this.#count) return {row: 0, offset: 0};
    const y = Math.max(0, Math.min(pixels, this.#total - 1));
    if (this.#isUniform) {
      const row = Math.floor(y / this.#metrics.line);
      return {row, offset: y - row * this.#metrics.line};
    }
    let [low, high] = [0, this.#blocks.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#before[middle] <= y) low = middle;
      else high = middle - 1;
    }
    let row = low * BLOCK_ROWS, top = this.#before[low];
    for (let height = this.of(row); row + 1 < this.#count && top + height <= y; height = this.of(row)) {
      top += height;
      row += 1;
    }
    return {row, offset: y - top};
  }

  /** What stands at the top of a window of so many pixels that was scrolled to there. */
  seenAt(scrolled, window) {
    const most = this.pixels - window, all = this.#total - window;
    return this.at(all > most && most > 0 ? scrolled / most * all : scrolled);
  }

  /** How far to scroll so that this stands at the top: the inverse. */
  scrollFor({row, offset}, window) {
    const most = this.pixels - window, all = this.#total - window, y = this.before(row) + offset;
    return Math.max(0, Math.min(most, all > most ? y / all * most : y));
  }
}
