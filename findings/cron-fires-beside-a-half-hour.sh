#!/bin/sh
# A job of half past two is due at half past one, and once more at half past two, where the clock moves by half an hour.
#
# npm's cron 4.4.0 (`CronTime`), Node 20. Lord Howe's clock goes from 02:00 to 02:30 in October, and from 02:00 back to 01:30 in
# April. 02:30 is there once each day. In the night of October `30 2 * * *` is due at 01:30, which nobody has asked for, and then
# at 02:30; in that of April `0 * * * *` is due at 01:30. In Berlin, whose clock moves by an hour, `30 3 * * *` is due once a day.
# croner 11.0.1 has both right.
#
# Guess: what is due at a time that every day has once is due then, once a day.
# Seen:
#   cron, Lord Howe, 30 2: 05 02:30+10:30, 06 01:30+10:30, 06 02:30+11:00, 07 02:30+11:00
#   cron, Lord Howe, hourly: 07 01:00+11:00, 07 01:30+10:30, 07 02:00+10:30, 07 03:00+10:30
#   cron, Berlin, 30 3: 30 03:30+01:00, 31 03:30+02:00, 01 03:30+02:00, 02 03:30+02:00
#   croner, Lord Howe, 30 2: 05 02:30+10:30, 06 02:30+11:00, 07 02:30+11:00, 08 02:30+11:00
#   croner, Lord Howe, hourly: 07 01:00+11:00, 07 02:00+10:30, 07 03:00+10:30, 07 04:00+10:30
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts cron@4.4.0 luxon@3.7.2 croner@11.0.1
cat >show.mjs <<'JS'
import {CronTime} from 'cron';
import {Cron} from 'croner';
import {DateTime} from 'luxon';

const told = (zone, times) => times.map((time) => DateTime.fromJSDate(time, {zone}).toFormat('dd HH:mmZZ')).join(', ');

function byCron(expression, zone, after) {
	const cron = new CronTime(expression, zone), times = [];
	for (let time = DateTime.fromISO(after, {zone}); times.length < 4; times.push(time.toJSDate())) {
		time = cron.getNextDateFrom(time, zone);
	}
	return told(zone, times);
}

const byCroner = (expression, zone, after) => told(zone, new Cron(expression, {timezone: zone}).nextRuns(4, new Date(after)));
const island = 'Australia/Lord_Howe', october = '2024-10-04T12:00:00Z', april = '2024-04-06T13:30:00Z';
console.log('cron, Lord Howe, 30 2:', byCron('30 2 * * *', island, october));
console.log('cron, Lord Howe, hourly:', byCron('0 * * * *', island, april));
console.log('cron, Berlin, 30 3:', byCron('30 3 * * *', 'Europe/Berlin', '2024-03-29T12:00:00Z'));
console.log('croner, Lord Howe, 30 2:', byCroner('30 2 * * *', island, october));
console.log('croner, Lord Howe, hourly:', byCroner('0 * * * *', island, april));
JS
node show.mjs >seen
cat seen
cat >expected <<'TEXT'
cron, Lord Howe, 30 2: 05 02:30+10:30, 06 01:30+10:30, 06 02:30+11:00, 07 02:30+11:00
cron, Lord Howe, hourly: 07 01:00+11:00, 07 01:30+10:30, 07 02:00+10:30, 07 03:00+10:30
cron, Berlin, 30 3: 30 03:30+01:00, 31 03:30+02:00, 01 03:30+02:00, 02 03:30+02:00
croner, Lord Howe, 30 2: 05 02:30+10:30, 06 02:30+11:00, 07 02:30+11:00, 08 02:30+11:00
croner, Lord Howe, hourly: 07 01:00+11:00, 07 02:00+10:30, 07 03:00+10:30, 07 04:00+10:30
TEXT
diff expected seen
