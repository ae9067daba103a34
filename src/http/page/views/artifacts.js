// What a run left to be fetched: a list of links. Each is saved as it is and never shown.

import {get} from '../api.js';
import {bytes, moment} from '../format.js';
import {empty, reading, trouble} from '../parts.js';
import {html} from '../html.js';

/** How often the list of a run that goes on is asked for, in milliseconds. */
const LIVE_MS = 5_000;

export class ArtifactsView {
  #page;
  #id;
  #list = null;
  #error = null;
  #askedFor = null;
  #askedAt = -Infinity;

  constructor(page, id) {
    [this.#page, this.#id] = [page, id];
  }

  render(run) {
    // Anew when the run has ended, and now and then before.
    const isStale = this.#askedFor !== run.ended_at || (!run.ended_at && performance.now() - this.#askedAt > LIVE_MS);
    if (isStale) this.#ask(run.ended_at);
    if (this.#error) return trouble(this.#error);
    if (!this.#list) return reading;
    const {state, artifacts} = this.#list;
    if (state === 'removed') return empty('They were removed', 'They made room for those of newer runs.');
    if (!artifacts.length) return empty('No files', 'What a command leaves in $RUNABOUT_ARTIFACTS is here.');
    return html`<section class="artifacts" aria-label="Files"><ul>${artifacts.map(this.#one)}</ul></section>`;
  }

  #one = ({name, bytes: size, sha256, modified_at: modified}) => html`<li>
    <a href=${`/v1/runs/${this.#id}/artifacts/${name.split('/').map(encodeURIComponent).join('/')}`} download=${name.split('/').at(-1)}><bdi>${name}</bdi></a>
    <span>${bytes(size)}</span> <time datetime=${modified}>${moment(modified)}</time>
    ${sha256 ? html`<code title="SHA-256: ${sha256}">${sha256.slice(0, 12)}</code>` : ''}</li>`;

  async #ask(endedAt) {
    [this.#askedFor, this.#askedAt] = [endedAt, performance.now()];
    try {
      [this.#list, this.#error] = [await get(`/v1/runs/${this.#id}/artifacts`), null];
    } catch (error) {
      this.#error = error;
    }
    this.#page.update();
  }
}
