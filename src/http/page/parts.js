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

/** What stands where something is asked for and has not come. */
export const reading = html`<p class="reading">Reading …</p>`;

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

/**
 * Opens a dialog of what `content` makes; that is given what closes it with an answer. Answers the answer when it is
 * closed. Its heading has the id `question`.
 */
export function dialog(content) {
  const element = document.createElement('dialog');
  element.setAttribute('aria-labelledby', 'question');
  render(content(answer => () => element.close(answer)), element);
  document.body.append(element);
  element.showModal();
  return new Promise(done => {
    element.onclose = () => {
      element.remove();
      done(element.returnValue);
    };
  });
}

/** Asks before something is done; answers whether to. */
export async function confirm({title, text, action, isGrave = false}) {
  const answer = await dialog(close => html`<h2 id="question">${title}</h2><p>${text}</p>
    <div class="buttons">
      <button type="button" @click=${close('no')}>Not now</button>
      <button type="button" class=${isGrave ? 'grave' : 'first'} @click=${close('yes')}>${action}</button>
    </div>`);
  return answer === 'yes';
}

/** Copies a text; answers whether it could. A page that came by http has no clipboard but the old one. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement('textarea'), focused = document.activeElement;
    field.value = text;
    field.readOnly = true;
    field.className = 'unseen';
    (document.querySelector('dialog[open]') ?? document.body).append(field);
    field.select();
    const isCopied = document.execCommand('copy');
    field.remove();
    focused?.focus({preventScroll: true});
    return isCopied;
  }
}

const COPY = html`<svg class="glyph" viewBox="0 0 16 16" aria-hidden="true"><rect x="5.5" y="5.5" width="8" height="8" rx="1.5"/><path d="M10.5 3.5v-.3A1.2 1.2 0 0 0 9.3 2H3.7A1.7 1.7 0 0 0 2 3.7v5.6a1.2 1.2 0 0 0 1.2 1.2h.3"/></svg>`;

/** A button that copies; `what` names it to who does not see. */
export function copyButton(page, text, what) {
  const deed = async () => {
    if (await copy(text)) page.say(`Copied: ${what}.`);
    else page.fail(new Error('This browser lets no page copy: select it and use the keyboard.'), 'copy');
  };
  return html`<button type="button" class="quiet small copy" @click=${deed} aria-label="Copy ${what}" title="Copy ${what}">${COPY}</button>`;
}
