#!/bin/sh
# cron 3.0pl1-162 (Debian 12's, from its source package), gcc, on 64-bit Linux, whose time_t has 64 bits.
#
# Guess: a job of every noon is started at noon also in the days after the 19th of January 2038.
#
# Seen: up to the 18th it is; from the 19th on at 18:29. The daemon counts minutes since 1970 in an int, and makes of one the
# seconds that it takes apart into hours and minutes by a multiplication of ints, which overflows that night.
#
# The daemon's own loop is compiled, with the functions that it matches a line by, unchanged; its clock is one that passes as
# fast as it is asked, in UTC.
#
# Output: "17 12:00, 18 12:00, 19 18:29, 20 18:29".
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
mkdir -p lists/partial
echo "deb-src $mirror bookworm main" >sources.list
apt() { apt-get -qq -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$dir/lists" "$@"; }
apt update >log 2>&1 && apt source cron=3.0pl1-162 >>log 2>&1 || { cat log >&2; exit 2; }
cd cron-3.0pl1
cut() { sed -n "/^$1(/,/^}/p" cron.c | sed "1s/^/static void /"; }
{ cut find_jobs; cut set_time; cut cron_sleep; } >functions.c
sed -n '/timeRunning = virtualTime = clockTime;/,/^}/p' cron.c | sed '$d' >loop.c
cat >driver.c <<'C'
#define MAIN_PROGRAM
#include <string.h>
#include <time.h>
static time_t now;
static int shown;
static time_t passing(time_t *t) { return t ? *t = now : now; }
static unsigned passes(unsigned s) { now += s; return 0; }
#include "cron.h"
#define time passing
#define sleep passes
time_min timeRunning, virtualTime, clockTime;
static long GMToff;
static void started(entry *e, user *u)
{
	struct tm *tm = gmtime(&now);
	printf("%s%d %02d:%02d", shown ? ", " : "", tm->tm_mday, tm->tm_hour, tm->tm_min);
	if (++shown == 4) { puts(""); exit(0); }
}
#define job_add started
#define job_runqueue() 0
#define check_orphans(db)
#define load_database(db)
#include "functions.c"
int main()
{
	static cron_db database;
	static user u;
	struct passwd pw = {.pw_name = "root", .pw_dir = "/", .pw_shell = "/bin/sh"};
	FILE *file = tmpfile();
	fputs("0 12 * * * true\n", file);
	rewind(file);
	u.crontab = load_entry(file, NULL, &pw, calloc(1, sizeof(char *)));
	database.head = database.tail = &u;
	now = 2147299200; /* 2038-01-17, midnight */
	set_time(1);
#include "loop.c"
}
C
gcc -std=gnu89 -w -I. -include stdlib.h -include unistd.h -include errno.h -DDEBUGGING=0 -o driver driver.c entry.c env.c misc.c
seen=$(TZ=UTC ./driver)
echo "$seen"
[ "$seen" = "17 12:00, 18 12:00, 19 18:29, 20 18:29" ]
