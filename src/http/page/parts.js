// Pieces that several views are made of: a run's state, fields with what is wrong beside them, questions before a deed.

import {ago, capital, moment, words} from './format.js';
import {html, nothing, render, svg} from './html.js';

/** Each state has a shape of its own: nobody has to tell them apart by colour. */
const SHAPES = {
  queued: svg`<circle cx="8" cy="8" r="5.5" stroke-dasharray="2.4 2.1"/>`,
  running: svg`<circle cx="8" cy="8" r="5.5" opacity=".3"/><path class="turns" d="M8 2.5a5.5 5.5 0 0 1 5.5 5.5"/>`,
  succeeded: svg`<path d="m3.2 8.6 3.2 3.2 6.4-7"/>`,
  failed: svg`<path d="m4 4 8 8m0-8-8 8"/>`,
  canceled: svg`<circle cx="8" cy="8" r="5.5"/><path d="M5.4 8h5.2"/>`,
  timed_out: svg`<circle cx="8" cy="8" r="5.5"/><path d="M8 4.8V8l2.2 1.6"/>`,
  interrupted: svg`<path d="M9.2 2.2 4.6 8.8h3l-.8 5 4.6-6.6h-3z"/>`,
};

export const STATES = Object.keys(SHAPES);

/** A run's state, as a shape and a word. */
export const badge = status => html`<span class="state ${status}">
  <svg viewBox="0 0 16 16" aria-hidden="true">${SHAPES[status] ?? SHAPES.queued}</svg>${capital(words(status))}</span>`;

/** How far a run is; nothing where it has not said. */
export function progress(run) {
  const {percent, message} = run.progress ?? {};
  const isNumber = typeof percent === 'number' && Number.isFinite(percent);
  const said = typeof message === 'string' ? message : '';
  if (!isNumber && !said) return nothing;
  const value = Math.min(100, Math.max(0, percent));
  return html`<span class="progress">
    ${isNumber ? html`<progress max="100" value=${value} aria-label="Progress"></progress><span class="percent">${Math.round(value)} %</span>` : nothing}
    ${said ? html`<span class="said">${said}</span>` : nothing}</span>`;
}

/** A time as how long ago, with the whole of it under the pointer. */
export const since = time => html`<time datetime=${time} title=${moment(time)}>${ago(time)}</time>`;

/** What to show where there is nothing. */
export const empty = (title, text) => html`<div class="empty"><p class="title">${title}</p><p>${text}</p></div>`;

/** A refusal or a failure, in the daemon's words. */
export const trouble = error => (error ? html`<p class="trouble" role="alert">${error.message ?? error}</p>` : nothing);

/**
 * A labelled field with what is wrong with it. `control` makes the input of the attributes `id`, `invalid` and
 * `described`, which names the text under it.
 */
export function field({id, label, hint, wrong = [], control}) {
  const described = [wrong.length ? `${id}-wrong` : '', hint ? `${id}-hint` : ''].filter(Boolean).join(' ');
  return html`<div class="field ${wrong.length ? 'is-wrong' : ''}">
    <label for=${id}>${label}</label>
    ${control({id, invalid: String(wrong.length > 0), described})}
    ${wrong.length ? html`<p class="wrong" id="${id}-wrong">${wrong.map(said => html`<span>${said}</span> `)}</p>` : nothing}
    ${hint ? html`<p class="hint" id="${id}-hint">${hint}</p>` : nothing}
  </div>`;
}

/** Asks before something is done; answers whether to. */
export function confirm({title, text, action, isGrave = false}) {
  const dialog = document.createElement('dialog');
  dialog.setAttribute('aria-labelledby', 'question');
  const close = answer => () => dialog.close(answer);
  render(html`<h2 id="question">${title}</h2><p>${text}</p>
    <div class="buttons">
      <button type="button" @click=${close('no')}>Not now</button>
      <button type="button" class=${isGrave ? 'grave' : 'first'} @click=${close('yes')}>${action}</button>
    </div>`, dialog);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise(done => {
    dialog.onclose = () => {
      dialog.remove();
      done(dialog.returnValue === 'yes');
    };
  });
}

/** Copies what an input holds; a page that came by http has no clipboard but this old one. */
export async function copy(input) {
  input.select();
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    return document.execCommand('copy');
  }
}

/** Copies a text, in the same ways. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const input = document.createElement('textarea');
    input.value = text;
    input.className = 'unseen';
    document.body.append(input);
    input.select();
    const isCopied = document.execCommand('copy');
    input.remove();
    return isCopied;
  }
}
