// The events of a run in order, with what was printed between them and what is gone, in their places.

import {gapText, leftText, outputText} from '../feed.js';
import {moment, stamp, text, words} from '../format.js';
import {empty} from '../parts.js';
import {html, nothing} from '../html.js';

/** Entries that are shown before somebody asks for more. */
export const SHOWN = 500;

/** The newest `count` of a feed's entries. */
export function events(feed, count, showMore) {
  const {entries, forgotten} = feed;
  if (!entries.length) return empty('No events yet', 'They appear here as they happen.');
  const left = Math.max(0, entries.length - count);
  return html`<section class="events" aria-label="Events">
    ${forgotten ? html`<p class="hint">The first ${forgotten} are not kept here.</p>` : nothing}
    ${left ? html`<p class="more"><button type="button" @click=${showMore}>${left} earlier</button></p>` : nothing}
    <ol>${entries.slice(left).map(entry)}</ol>
  </section>`;
}

function entry({event, gap, output}) {
  if (gap) return html`<li class="gap"><span class="seq">${gap.from}–${gap.to}</span><span class="kind">gone</span><span>${gapText(gap)}</span></li>`;
  if (output) return html`<li class="output"><span class="seq">${output.from}${output.to > output.from ? `–${output.to}` : ''}</span><span class="kind">output</span><span>${outputText(output)}</span></li>`;
  return html`<li class=${event.kind}><span class="seq">${event.seq}</span><span class="kind">${words(event.kind)}</span>
    <span class="data">${told(event)}</span><time datetime=${event.at} title=${moment(event.at)}>${stamp(event.at)}</time></li>`;
}

/** The data of an event, in words where it has some of its own. */
function told({kind, data}) {
  if (kind === 'queued' || kind === 'started') return `attempt ${data.attempt}`;
  if (kind === 'message') return [data.level, data.text].map(text).filter(Boolean).join(': ') || text(data);
  if (kind === 'left_behind') return leftText(data);
  if (kind === 'progress') {
    const {percent, message, ...rest} = data;
    const more = Object.keys(rest).length ? text(rest) : '';
    return [typeof percent === 'number' ? `${percent} %` : text(percent), text(message), more].filter(Boolean).join(' · ');
  }
  return Object.entries(data).filter(([, value]) => value !== null && String(value) !== '')
    .map(([name, value]) => `${words(name)}: ${text(value)}`).join(' · ');
}
