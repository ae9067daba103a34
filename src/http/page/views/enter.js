// What is shown without a session: how to get one, and a place for the token.

import {enroll, left} from '../api.js';
import {field} from '../parts.js';
import {html, nothing} from '../html.js';

/** Why whoever was here is not any more. */
const WHYS = {
  ended: 'This browser’s session was ended by an admin.',
  expired: 'This browser’s session has expired: it was not used for too long.',
  unknown: 'The daemon does not know this browser’s session any more: an admin has ended it, or an older database was put in the place of the one that knew it.',
};

export class EnterView {
  /** Why a link that was opened let nobody in. */
  static refusal = null;
  title = 'Come in';
  #page;
  #isBusy = false;

  constructor(page) {
    this.#page = page;
  }

  leave() {
    EnterView.refusal = null;
  }

  #submit = async event => {
    event.preventDefault();
    const given = new FormData(event.target).get('token').trim();
    // The whole link works as well as the token in it.
    const token = given.replace(/^.*#enroll=/, '');
    if (!token) return this.#refuse(new Error('Paste a token first.'));
    this.#isBusy = true;
    this.#page.update();
    try {
      await enroll(token);
    } catch (error) {
      this.#refuse(error);
    }
    this.#isBusy = false;
    this.#page.update();
  };

  #refuse(error) {
    EnterView.refusal = error;
    this.#page.update();
  }

  render() {
    const refusal = EnterView.refusal;
    return html`<section class="enter">
      <img src="/page/icon.svg" alt="" width="48" height="48">
      <h1 tabindex="-1">Runabout</h1>
      ${refusal?.code === 'enrollment_invalid'
        ? html`<p class="trouble" role="alert">That link does not work any more: it has expired, or was used already. Ask for a new one.</p>`
        : refusal && refusal.message !== 'Paste a token first.'
          ? html`<p class="trouble" role="alert">${refusal.message}</p>`
          : nothing}
      ${left.why && !refusal ? html`<p class="left" role="alert">${WHYS[left.why]}</p>` : nothing}
      <p>To come in, run <code>runabout enroll --web</code> on the daemon's machine and open the link it prints.</p>
      <form @submit=${this.#submit} novalidate>
        ${field({
          id: 'token',
          label: 'Or paste a token here',
          hint: 'It starts with rbe_, works once, and for minutes.',
          wrong: refusal?.message === 'Paste a token first.' ? [refusal.message] : [],
          control: ({id, invalid, described}) => html`<input id=${id} name="token" type="text" autocomplete="off"
            autocapitalize="off" spellcheck="false" aria-invalid=${invalid} aria-describedby=${described}>`,
        })}
        <button class="first" ?disabled=${this.#isBusy} aria-busy=${String(this.#isBusy)}>Come in</button>
      </form>
    </section>`;
  }
}
