// What the page has to say: news, which go by themselves, and what stands until somebody has put it away, as every failure
// does.
//
// Both stand in regions of their own that are always in the page, so that a screen reader tells of each.

import {html, nothing} from './html.js';
import {repeat} from './vendor/lit-html/directives/repeat.js';

/** How long news stay, in milliseconds. */
const NEWS_MS = 7_000;
/** Messages of a sort that stand at once. */
const SHOWN_MAX = 4;

export class Messages {
  #news = [];
  #standing = [];
  #next = 1;
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  /** Says what has happened. */
  say(text) {
    const one = {id: this.#next++, text};
    this.#news = [...this.#news, one].slice(-SHOWN_MAX);
    setTimeout(() => this.#away(one), NEWS_MS);
    this.#changed();
  }

  /** Says something that has happened until somebody has put it away; `href` is where there is more of it. */
  stay(text, href) {
    this.#standing = [...this.#standing, {id: this.#next++, text, href}].slice(-SHOWN_MAX);
    this.#changed();
  }

  /** Says what went wrong with `what`, a word of the page's own; it is forgotten when that is tried again. */
  fail(error, what) {
    this.settle(what);
    this.#standing = [...this.#standing, {id: this.#next++, text: error.message ?? String(error), what}].slice(-SHOWN_MAX);
    this.#changed();
  }

  /** Forgets what went wrong with this. */
  settle(what) {
    this.#standing = this.#standing.filter(one => one.what !== what);
    this.#changed();
  }

  /** Forgets everything: somebody else is here. */
  clear() {
    [this.#news, this.#standing] = [[], []];
    this.#changed();
  }

  #away(gone) {
    this.#news = this.#news.filter(one => one !== gone);
    this.#standing = this.#standing.filter(one => one !== gone);
    this.#changed();
  }

  render() {
    return html`<div class="messages">
      <div role="status" aria-label="News">${repeat(this.#news, one => one.id, one => html`<p class="message">${one.text}</p>`)}</div>
      <div role="alert" aria-label="What stands until it is put away">${repeat(this.#standing, one => one.id, one => this.#stands(one))}</div>
    </div>`;
  }

  #stands(one) {
    return html`<p class="message ${one.what ? 'failure' : ''}"><span>${one.text} ${one.href ? html`<a href=${one.href}>Look</a>` : nothing}</span>
      <button type="button" @click=${() => this.#away(one)} aria-label="Put this message away">×</button></p>`;
  }
}
