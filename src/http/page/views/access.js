// Who was let in, and links that let somebody in: for admins.

import {get, lose, may, post, remove} from '../api.js';
import {moment, seconds, until} from '../format.js';
import {confirm, copyButton, empty, field, reading, since, trouble} from '../parts.js';
import {html, nothing} from '../html.js';
import {qrCode} from '../qr.js';
import {system} from '../system.js';
import {repeat} from '../vendor/lit-html/directives/repeat.js';

/** How often the lists are asked for while somebody looks, in milliseconds: no event tells of who comes in. */
const FRESH_MS = 4_000;

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
  /** Why there is nothing newer to see. */
  #unread = null;
  #wrong = [];
  /** The link that was just made: it is shown this once. */
  #link = null;
  #timer = 0;

  constructor(page) {
    this.#page = page;
  }

  enter() {
    if (!may('admin')) return;
    this.#load();
    this.#timer = setInterval(() => {
      if (!document.hidden && this.#unread === null) this.#load();
    }, FRESH_MS);
  }

  leave() {
    clearInterval(this.#timer);
  }

  /** The daemon answers again. */
  again() {
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
      await this.#page.deed('link', async () => {
        try {
          this.#link = await post('/v1/enrollment-tokens', {...wish, ttl_s});
        } catch (error) {
          if (!error.violations?.length) throw error;
          this.#wrong = error.violations;
        }
      });
    }
    await this.#load();
  };

  #withdraw = token => () => this.#do(`token ${token.id}`, () => remove(`/v1/enrollment-tokens/${token.id}`), 'The link lets nobody in any more.');

  #revoke = one => async () => {
    const isSure = await confirm({
      title: `Revoke the session of ${one.name}?`,
      text: one.current ? 'It is your own: you are logged out at once.' : 'Whoever uses it is logged out at once, and its open streams end.',
      action: 'Revoke it',
      isGrave: true,
    });
    if (!isSure) return;
    const isDone = await this.#do(`session ${one.id}`, () => remove(`/v1/sessions/${one.id}`), `The session of ${one.name} is revoked.`);
    if (isDone && one.current) lose('ended');
  };

  async #do(what, task, said) {
    const isDone = await this.#page.deed(what, task, said);
    await this.#load();
    return isDone;
  }

  #about = name => this.#wrong.filter(({field}) => field === name).map(({message}) => message);

  render() {
    if (!may('admin')) return html`<h1 tabindex="-1">Access</h1>${empty('Not with this session', 'Letting others in needs the role admin.')}`;
    return html`<h1 tabindex="-1">Access</h1>
      ${trouble(this.#unread)}
      ${this.#form()}
      ${this.#link ? this.#made(this.#link) : nothing}
      ${this.#tokens.length ? html`<h2>Links</h2><ul class="list">${repeat(this.#tokens, token => token.id, token => this.#token(token))}</ul>` : nothing}
      <h2>Sessions</h2>
      ${this.#sessions ? html`<ul class="list">${repeat(this.#sessions, one => one.id, one => this.#session(one))}</ul>` : this.#unread ? nothing : reading}`;
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
      <button class="first" ?disabled=${this.#page.doing !== null} aria-busy=${String(this.#page.doing === 'link')}>Make a link</button></div></form>`;
  }

  #made({id, role, token, expires_at}) {
    const url = `${this.#origin()}/#enroll=${token}`, now = this.#tokens.find(one => one.id === id);
    const isUsed = now && now.uses >= now.max_uses;
    return html`<section class="made" aria-label="The new link">
      ${isUsed ? html`<p>The link for the role ${role} was used.</p>` : html`
        <div><label for="link">A link for the role ${role}, until ${moment(expires_at).slice(0, 16)}. It is shown this once.</label>
          <div class="row"><input id="link" type="text" readonly .value=${url} @focus=${event => event.target.select()}>
            ${copyButton(this.#page, url, 'the link')}</div>
          ${isOnlyHere(url) ? html`<p class="warning" role="note"><strong>It works on this machine alone.</strong>
            The page was opened here as ${location.host}: elsewhere a browser looks for that on itself. Open the page by the
            name or address that the daemon’s machine has in the network, where it listens there, and make the link in it.</p>` : nothing}</div>
        ${qrCode(url, 'The link as a QR code')}`}
    </section>`;
  }

  /** Where others find the page: as it was opened here, or, where that is this machine alone, where the daemon listens. */
  #origin() {
    const {url} = system.value ?? {};
    return isOnlyHere(location.origin) && url && !isOnlyHere(url) ? url : location.origin;
  }

  #token(token) {
    const isUsed = token.uses >= token.max_uses;
    return html`<li><span class="who"><strong>${token.label ?? 'A link'}</strong> <span class="role">${token.role}</span></span>
      <span class="hint">${isUsed ? 'used' : token.max_uses === 1 ? 'not used yet' : `used ${token.uses} of ${token.max_uses} times`}${isUsed ? nothing : `, works for ${until(token.expires_at)} more`}</span>
      ${isUsed ? html`<span></span>` : html`<button type="button" ?disabled=${this.#page.doing !== null} @click=${this.#withdraw(token)}>Withdraw<span class="unseen"> ${token.label ?? 'the link'}</span></button>`}</li>`;
  }

  #session = one => html`<li><span class="who"><strong>${one.name}</strong> <span class="role">${one.role}</span>
      ${one.current ? html`<span class="tag">this one</span>` : nothing}</span>
    <span class="hint">${whence(one)}used ${since(one.last_used_at)}${one.expires_at ? html`, ends <span title=${moment(one.expires_at)}>in ${until(one.expires_at)}</span> unless it is used` : ', never ends'}</span>
    <button type="button" class="grave" ?disabled=${this.#page.doing !== null} @click=${this.#revoke(one)}>Revoke …<span class="unseen"> ${one.name}</span></button></li>`;
}

/** “Firefox on Linux, from 192.168.1.7, ”: what is known of it. */
function whence({agent, name, address}) {
  const known = [agent === name ? '' : agent, address && `from ${address}`].filter(Boolean).join(', ');
  return known && `${known}; `;
}

/** Whether only browsers on the same machine find this address. */
function isOnlyHere(url) {
  const {hostname} = new URL(url);
  return hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]' || /^127\./.test(hostname);
}
