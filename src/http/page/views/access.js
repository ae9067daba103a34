// Who was let in, and links that let somebody in: for admins.

import {get, may, post, remove, session} from '../api.js';
import {moment, seconds, until} from '../format.js';
import {confirm, copy, empty, field, since, trouble} from '../parts.js';
import {html, nothing} from '../html.js';
import {repeat} from '../vendor/lit-html/directives/repeat.js';

const ROLES = [['viewer', 'sees everything'], ['operator', 'also submits, cancels, deletes'], ['admin', 'also lets others in']];

/** Every session, page by page. */
const allSessions = async () => {
  const all = [];
  for (let next = '/v1/sessions'; next;) {
    const page = await get(next);
    all.push(...page.sessions);
    next = page.next;
  }
  return all;
};

export class AccessView {
  title = 'Access';
  ticks = true;
  #page;
  #sessions = null;
  #tokens = [];
  /** Why the last deed failed, and why there is nothing newer to see. */
  #error = null;
  #unread = null;
  #wrong = [];
  /** The link that was just made: it is shown this once. */
  #link = null;

  constructor(page) {
    this.#page = page;
  }

  enter() {
    if (may('admin')) this.#load();
  }

  async #load() {
    try {
      const [sessions, {enrollment_tokens}] = await Promise.all([allSessions(), get('/v1/enrollment-tokens')]);
      [this.#sessions, this.#tokens, this.#unread] = [sessions, enrollment_tokens, null];
    } catch (error) {
      this.#unread = error;
    }
    this.#page.update();
  }

  #make = async event => {
    event.preventDefault();
    const given = new FormData(event.target), ttl_s = seconds(given.get('ttl'));
    const wish = {role: given.get('role'), max_uses: Number(given.get('max_uses'))};
    if (given.get('label').trim()) wish.label = given.get('label').trim();
    this.#wrong = Number.isNaN(ttl_s) ? [{field: 'ttl_s', message: 'must be a time like 15m or 2h'}] : [];
    if (!this.#wrong.length) {
      try {
        const made = await post('/v1/enrollment-tokens', {...wish, ttl_s});
        this.#link = {id: made.id, role: made.role, expires_at: made.expires_at, url: `${location.origin}/#enroll=${made.token}`};
      } catch (error) {
        this.#wrong = error.violations?.length ? error.violations : [{field: 'label', message: error.message}];
      }
    }
    await this.#load();
  };

  #copy = async event => {
    const isCopied = await copy(event.target.closest('.made').querySelector('input'));
    this.#page.say(isCopied ? 'The link is copied.' : 'The link is selected: copy it with the keyboard.');
  };

  #withdraw = token => () => this.#try(() => remove(`/v1/enrollment-tokens/${token.id}`), 'The link lets nobody in any more.');

  #revoke = one => async () => {
    const isSure = await confirm({
      title: `Revoke the session of ${one.name}?`,
      text: one.current ? 'It is your own: you are logged out at once.' : 'Whoever uses it is logged out at once, and its open streams end.',
      action: 'Revoke it',
      isGrave: true,
    });
    if (!isSure) return;
    await this.#try(() => remove(`/v1/sessions/${one.id}`), `The session of ${one.name} is revoked.`);
    if (one.current) session.set(null);
  };

  async #try(deed, said) {
    try {
      await deed();
      this.#error = null;
      this.#page.say(said);
    } catch (error) {
      this.#error = error;
    }
    await this.#load();
  }

  #about = name => this.#wrong.filter(({field}) => field === name).map(({message}) => message);

  render() {
    if (!may('admin')) return html`<h1 tabindex="-1">Access</h1>${empty('Not with this session', 'Letting others in needs the role admin.')}`;
    return html`<h1 tabindex="-1">Access</h1>
      ${trouble(this.#error ?? this.#unread)}
      ${this.#form()}
      ${this.#link ? this.#made(this.#link) : nothing}
      ${this.#tokens.length ? html`<h2>Links</h2><ul class="list">${repeat(this.#tokens, token => token.id, token => this.#token(token))}</ul>` : nothing}
      <h2>Sessions</h2>
      ${this.#sessions ? html`<ul class="list">${repeat(this.#sessions, one => one.id, one => this.#session(one))}</ul>` : nothing}`;
  }

  #form() {
    const input = (name, value) => ({id, invalid, described}) => html`<input id=${id} name=${name} type="text" value=${value}
      autocomplete="off" spellcheck="false" aria-invalid=${invalid} aria-describedby=${described}>`;
    return html`<form class="make" @submit=${this.#make} novalidate><h2>Let somebody in</h2><div class="row">
      ${field({id: 'role', label: 'Role', wrong: this.#about('role'), control: ({id, invalid, described}) => html`
        <select id=${id} name="role" aria-invalid=${invalid} aria-describedby=${described}>${ROLES.map(([role, does]) => html`<option value=${role}>${role}: ${does}</option>`)}</select>`})}
      ${field({id: 'label', label: 'For whom', wrong: this.#about('label'), control: input('label', '')})}
      ${field({id: 'ttl', label: 'Works for', wrong: this.#about('ttl_s'), control: input('ttl', '15m')})}
      ${field({id: 'uses', label: 'Uses', wrong: this.#about('max_uses'), control: ({id, invalid, described}) => html`
        <input id=${id} name="max_uses" type="number" min="1" max="1000" value="1" aria-invalid=${invalid} aria-describedby=${described}>`})}
      <button class="first">Make a link</button></div></form>`;
  }

  #made = ({role, expires_at, url}) => html`<section class="made" aria-label="The new link">
    <label for="link">A link for the role ${role}, until ${moment(expires_at).slice(0, 16)}. It is shown this once.</label>
    <div class="row"><input id="link" type="text" readonly .value=${url} @focus=${event => event.target.select()}>
      <button type="button" class="first" @click=${this.#copy}>Copy</button></div></section>`;

  #token = token => html`<li><span class="who"><strong>${token.label ?? 'a link'}</strong> <span class="role">${token.role}</span></span>
    <span class="hint">${token.uses >= token.max_uses ? 'used up' : `${token.uses} of ${token.max_uses} used, works for ${until(token.expires_at)} more`}</span>
    <button type="button" @click=${this.#withdraw(token)}>Withdraw<span class="unseen"> ${token.label ?? 'the link'}</span></button></li>`;

  #session = one => html`<li><span class="who"><strong>${one.name}</strong> <span class="role">${one.role}</span>
      ${one.current ? html`<span class="tag">this one</span>` : nothing}</span>
    <span class="hint">used ${since(one.last_used_at)}${one.address ? ` from ${one.address}` : ''}${one.expires_at ? `, ends in ${until(one.expires_at)} if it is not` : ''}</span>
    <button type="button" class="grave" @click=${this.#revoke(one)}>Revoke …<span class="unseen"> ${one.name}</span></button></li>`;
}
