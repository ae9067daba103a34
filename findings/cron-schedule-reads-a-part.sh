#!/bin/sh
# A job of the fifth Monday is due every Monday, and one of the working day nearest the fifteenth on the fifteenth, a Sunday.
#
# npm's cron-schedule 6.0.0, Node 20. Of an entry that is no range it takes the number at its beginning and drops the rest, so
# that `1#5`, `15W` and `5L`, which others have, are accepted as 1, 15 and 5. What begins with a letter (`L`) is refused. croner
# 11.0.1 does as each says. Who moves a schedule from another program is told nothing.
#
# Guess: what it does not know is refused.
# Seen:
#   1#5: cron-schedule 02, 09, 16, 23, 30; croner 30
#   15W: cron-schedule 15; croner 16
#   5L: cron-schedule 06, 13, 20, 27; croner 27
#   L: cron-schedule refuses it; croner 30
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts cron-schedule@6.0.0 croner@11.0.1
cat >show.mjs <<'JS'
import {parseCronExpression} from 'cron-schedule';
import {Cron} from 'croner';

const from = new Date('2024-08-31T12:00:00Z'), to = new Date('2024-10-01T00:00:00Z');

/** The days of September 2024. */
function days(next) {
	try {
		return next().filter((time) => time < to).map((time) => time.toISOString().slice(8, 10)).join(', ');
	} catch {
		return 'refuses it';
	}
}

for (const [day, expression] of [['1#5', '0 0 * * 1#5'], ['15W', '0 0 15W * *'], ['5L', '0 0 * * 5L'], ['L', '0 0 L * *']]) {
	const one = days(() => parseCronExpression(expression).getNextDates(5, from));
	console.log(`${day}: cron-schedule ${one}; croner ${days(() => new Cron(expression).nextRuns(5, from))}`);
}
JS
TZ=UTC node show.mjs >seen
cat seen
cat >expected <<'TEXT'
1#5: cron-schedule 02, 09, 16, 23, 30; croner 30
15W: cron-schedule 15; croner 16
5L: cron-schedule 06, 13, 20, 27; croner 27
L: cron-schedule refuses it; croner 30
TEXT
diff expected seen
