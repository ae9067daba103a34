// The last runs at a glance: a bar each, as high as it took long, in the colour and with the mark of how it ended.

import {duration, runTook, title, words} from '../format.js';
import {STATES} from '../parts.js';
import {html, nothing} from '../html.js';
import {repeat} from '../vendor/lit-html/directives/repeat.js';

/** Bars for these runs, newest first; nothing for too few to compare. */
export function strip(runs) {
  if (runs.length < 2) return nothing;
  const longest = Math.max(1_000, ...runs.map(run => runTook(run) ?? 0));
  // From a hundredth of a second on, by its logarithm: seconds and hours fit in one picture.
  const height = ms => 8 + 92 * Math.max(0, Math.log10(Math.max(10, ms) / 10) / Math.log10(longest / 10));
  const counts = STATES.map(state => [state, runs.filter(run => run.status === state).length]).filter(([, count]) => count);
  const newest = runs[0].id;
  return html`<section class="strip" aria-label="The last runs">
    <ol @keydown=${walk}>
      ${repeat(runs.toReversed(), run => run.id, run => html`<li><a class="bar ${run.status}" href="#/runs/${run.id}"
          tabindex=${run.id === newest ? 0 : -1} title=${label(run)} aria-label=${label(run)}
        ><span .style=${`height:${height(runTook(run) ?? 0)}%`}></span></a></li>`)}
    </ol>
    <p class="legend"><span>Last ${runs.length}</span>${counts.map(([state, count]) => html`
      <span class="state ${state}"><i></i>${count} ${words(state)}</span>`)}</p>
  </section>`;
}

function label(run) {
  const took = runTook(run);
  return `Run ${run.id}, ${title(run).slice(0, 60)}: ${words(run.status)}${took === null ? '' : `, ${duration(took)}`}`;
}

/** A hundred bars are one stop of the Tab key; the arrows go from one to the next. */
function walk(event) {
  const bars = [...event.currentTarget.querySelectorAll('a')], at = bars.indexOf(event.target);
  const to = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bars.length - 1}[event.key];
  if (to === undefined || !bars[to]) return;
  event.preventDefault();
  bars[to].focus();
}

