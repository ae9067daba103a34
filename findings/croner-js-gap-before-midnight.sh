#!/bin/sh
# What a gap of the clock swallows is due at its end, but not where the gap ends with the day: then it is lost.
#
# npm's croner 11.0.1, Node 20. In Nuuk the clock goes from 23:00 to midnight in March, since 2024. `30 23 * * *` has no firing
# for that day, and a monthly one (`30 23 30 3 *`) none for that year. In Berlin, from 02:00 to 03:00, and in Santiago, from
# midnight to 01:00, such a job is due at the end of the gap.
#
# Guess: the end of the gap is the first moment of the next day, and it is due then.
# Seen:
#   Berlin, 30 2: 30 02:30, 31 03:00, 01 02:30
#   Santiago, 30 0: 07 00:30, 08 01:00, 09 00:30
#   Nuuk, 30 23: 29 23:30, 31 23:30, 01 23:30
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts croner@11.0.1
cat >show.mjs <<'JS'
import {Cron} from 'croner';

function told(place, expression, timezone, after) {
	const wall = new Intl.DateTimeFormat('en-GB', {timeZone: timezone, day: '2-digit', hour: '2-digit', minute: '2-digit'});
	const times = new Cron(`${expression} * * *`, {timezone}).nextRuns(3, new Date(after));
	console.log(`${place}, ${expression}:`, times.map((time) => wall.format(time).replace(',', '').replace(' at', '')).join(', '));
}

told('Berlin', '30 2', 'Europe/Berlin', '2024-03-29T12:00:00Z');
told('Santiago', '30 0', 'America/Santiago', '2024-09-06T12:00:00Z');
told('Nuuk', '30 23', 'America/Nuuk', '2024-03-29T12:00:00Z');
JS
node show.mjs >seen
cat seen
cat >expected <<'TEXT'
Berlin, 30 2: 30 02:30, 31 03:00, 01 02:30
Santiago, 30 0: 07 00:30, 08 01:00, 09 00:30
Nuuk, 30 23: 29 23:30, 31 23:30, 01 23:30
TEXT
diff expected seen
