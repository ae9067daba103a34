// What stands around every view: who is here and where to go, what is wrong with the daemon or the way to it, and below
// what the daemon says of itself.

import {isBusy, may, session, silentSince} from './api.js';
import {bytes, capital, plural} from './format.js';
import {html, nothing} from './html.js';
import {showKeys} from './shortcuts.js';
import {link} from './stream.js';
import {system} from './system.js';
import {nextTheme, theme} from './theme.js';

/** The whole page, with what the view shows in it. */
export const frame = page => html`
  <a class="skip" href="#main" @click=${skip}>Skip to content</a>
  ${session.value ? header(page) : nothing}
  ${banner(page)}
  <main id="main" tabindex="-1" data-view=${page.key.split(' ')[0]}>${page.view?.render() ?? nothing}</main>
  ${page.messages.render()}
  ${session.value ? footer(page) : nothing}
  <p class="busy" role="status">${isBusy.value ? 'Waiting for the daemon …' : ''}</p>`;

const header = page => html`<header>
  <a class="brand" href="#/runs"><img src="/page/icon.svg" alt="" width="22" height="22"><span>Runabout</span></a>
  <nav aria-label="Main">
    ${may('viewer') ? tab(page, 'runs', 'Runs') : nothing}
    ${tab(page, 'jobs', 'Jobs')}
    ${may('operator') ? tab(page, 'submit', 'Submit') : nothing}
    ${may('viewer') ? tab(page, 'queues', 'Queues') : nothing}
    ${may('admin') ? tab(page, 'access', 'Access') : nothing}
  </nav>
  <div class="who">
    <span class="name" title="Your session and its role">${session.value.name} <span class="role">${session.value.role}</span></span>
    <button type="button" class="quiet" @click=${() => [nextTheme(), page.update()]} aria-label="Colours: ${theme()}"><span aria-hidden="true">◐</span> <span class="word">${capital(theme())}</span></button>
    ${session.value.id === null ? nothing : html`<button type="button" class="quiet" ?disabled=${page.doing !== null} @click=${page.logOut}>Log out</button>`}
  </div>
</header>`;

const tab = (page, name, label) => {
  const isHere = page.key.startsWith(name) || (name === 'runs' && page.key.startsWith('run '));
  return html`<a href="#/${name}" aria-current=${isHere ? 'page' : nothing}>${label}</a>`;
};

/** What is wrong for all views alike; the worst of it alone. */
function banner(page) {
  const state = link.value;
  // A moment's loss is not worth a word.
  const isLost = session.value && state && ['waiting', 'connecting'].includes(state.phase) && state.failures > 0;
  if (isLost) return disconnected(state);
  if (silentSince.value !== null) return silent(page);
  if (system.value?.draining) {
    return html`<div class="banner" role="status"><span><strong>Draining.</strong> Nothing new starts; what runs goes on to its end.</span></div>`;
  }
  return nothing;
}

/** Says that nothing is live, when it comes back, and lets nobody wait for that. */
function disconnected(state) {
  const s = state.until ? Math.max(0, Math.ceil((state.until - Date.now()) / 1_000)) : 0;
  const text = state.phase === 'waiting' && s > 0 ? `Next try in ${plural(s, 'second')}.` : 'Trying now …';
  return html`<div class="banner" role="status" aria-live="polite"><strong>Disconnected.</strong>
    <span aria-live="off">${text}</span> <button type="button" @click=${state.retry}>Now</button></div>`;
}

function silent(page) {
  const s = Math.max(1, Math.round((Date.now() - silentSince.value) / 1_000));
  return html`<div class="banner" role="status" aria-live="polite"><strong>The daemon does not answer.</strong>
    <span aria-live="off">For ${plural(s, 'second')}; it is asked again and again.</span>
    <button type="button" @click=${page.probe}>Now</button></div>`;
}

function footer(page) {
  const {version, database_bytes, disk_free_bytes} = system.value ?? {};
  return html`<footer>
    ${version ? html`<span>Runabout ${version}</span>
      <span title="What the database file takes">Database ${bytes(database_bytes)}</span>
      ${typeof disk_free_bytes === 'number' ? html`<span title="On the database's file system">${bytes(disk_free_bytes)} free</span>` : nothing}` : nothing}
    ${link.value && !link.value.hasSocket ? html`<span class="way">Live by server-sent events: something between here and the daemon passes no WebSocket.</span>` : nothing}
    ${may('viewer') ? html`<button type="button" class="quiet small" aria-pressed=${String(page.notices.hasFailures)} @click=${() => page.notices.toggleFailures()}>Tell me of failures</button>` : nothing}
    <button type="button" class="quiet small" @click=${() => showKeys(page.update)}>Keys <kbd aria-hidden="true">?</kbd></button>
  </footer>`;
}

function skip(event) {
  event.preventDefault();
  document.querySelector('main').focus();
}
