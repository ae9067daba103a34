// Runs the scenarios one after another in one browser, each in a page of its own, and says what each took.
//
//   BASE, TOKEN, BROWSER, ELSEWHERE (where the example lies) in the environment; SHOTS is where pictures go. Arguments: the names of some scenarios.

import * as access from './access.mjs';
import * as again from './again.mjs';
import {Api, startBrowser} from './browser.mjs';
import * as elsewhere from './elsewhere.mjs';
import * as frame from './frame.mjs';
import * as jobs from './jobs.mjs';
import * as live from './live.mjs';
import * as log from './log.mjs';
import * as looks from './looks.mjs';
import * as output from './output.mjs';
import * as resume from './resume.mjs';
import * as runs from './runs.mjs';
import * as sizes from './sizes.mjs';
import * as terminal from './terminal.mjs';
import * as told from './told.mjs';

const scenarios = Object.entries({
  ...access, ...again, ...runs, ...output, ...log, ...resume, ...elsewhere, ...jobs, ...frame, ...looks, ...sizes, ...terminal, ...told, ...live,
});
const wanted = process.argv.slice(2);
const browser = await startBrowser();
const api = new Api(process.env.BASE, process.env.TOKEN);
let failures = 0;
for (const [name, scenario] of scenarios) {
  if (wanted.length && !wanted.includes(name)) continue;
  const begun = performance.now();
  try {
    await scenario({browser, api, base: api.base});
    const pages = browser.contexts().flatMap(context => context.pages());
    const troubles = pages.flatMap(page => page.troubles ?? []);
    if (troubles.length) throw new Error(`the page had trouble: ${troubles.join('\n')}`);
    console.log(`ok     ${name} (${Math.round(performance.now() - begun)} ms)`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED ${name}: ${error.stack}`);
    for (const page of browser.contexts().flatMap(context => context.pages())) {
      console.log(`  ${page.url()}: ${page.troubles?.join('\n') ?? ''}`);
      if (process.env.SHOTS) await page.screenshot({path: `${process.env.SHOTS}/failed-${name}.png`}).catch(() => {});
    }
  }
  await Promise.all(browser.contexts().map(context => context.close()));
}
await browser.close();
process.exit(failures ? 1 : 0);
