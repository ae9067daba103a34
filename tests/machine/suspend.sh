#!/bin/sh
# The machine sleeps (S3: all is off but its memory), and its clock wakes it: what is due then is done at once, what ran goes on,
# and nobody takes the daemon for dead.

# The directory of the computer outside is a device that does not outlive a sleep: the script goes on without it, and speaks by a
# serial line.
if [ "$PWD" = /hand ]; then
	mkdir /run/trial
	cp checks script runabout.deb /run/trial
	stty -F /dev/ttyS1 raw
	systemd-run -q --unit=trial --working-directory=/run/trial sh -c \
		'exec >/dev/ttyS1 2>&1; sh ./script; echo "exit $?"; systemctl poweroff --force --force'
	exec sleep infinity
fi
. ./checks

rtc=/sys/class/rtc/rtc0
# asleep SECONDS: $slept is how long it was by the clock that goes on, less the one that stands still.
slept_ms() { python3 -c 'import time; print(round(1000 * (time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC))))'; }
asleep() {
	began=$(slept_ms)
	echo 0 >$rtc/wakealarm
	echo "+$1" >$rtc/wakealarm
	echo mem >/sys/power/state
	slept=$(($(slept_ms) - began))
}
now_s() { python3 -c 'import time; print(int(time.clock_gettime(time.CLOCK_MONOTONIC)))'; }
logged() { journalctl -u runabout -o cat | grep -q "$1"; }
newest_missed() { api GET /v1/jobs/tens/firings | python3 -c 'import json, sys; print(max(firing["count"] for firing in json.load(sys.stdin)["firings"]))'; }
has_fired() { api GET /v1/jobs/tens/firings | grep -q scheduled_for; }
caught_up() { [ "$(newest_missed)" -ge 3 ]; }

echo deep >/sys/power/mem_sleep
exits 0 "apt install" install_package ./runabout.deb
comes "the service is active" systemctl is-active --quiet runabout
runabout queue default --slots 8 >/dev/null
runabout queue jobs --slots 4 >/dev/null
mkdir -p /run/systemd/system/runabout.service.d
printf '[Service]\nWatchdogSec=20s\n' >/run/systemd/system/runabout.service.d/quick.conf
systemctl daemon-reload
systemctl restart runabout
pid=$(main_pid)
counts='i=0; while [ $i -lt 60 ]; do echo $i; i=$((i+1)); sleep 0.5; done; exit 9'
kept=$(runabout add --survive -t 1h -s "$counts")
long=$(runabout add -s "$counts")
brief=$(runabout add -t 45 -- sleep 1000)
brief_kept=$(runabout add --survive -t 45 -- sleep 1000)
exits 0 "a job of every ten seconds" runabout job set tens --schedule '*/10 * * * * *' -q jobs -- true
for run in "$kept" "$long" "$brief" "$brief_kept"; do comes "run $run runs" has_status running "$run"; done
comes "the job has fired" has_fired
runabout logs -f "$long" >/tmp/followed 2>/dev/null &
reader=$!
delayed=$(runabout add --delay 50 -- true)

# Longer than the minute within which a firing is on time.
heading "it sleeps for 80 seconds"
asleep 80
woken=$(now_s)
said="$slept ms"
if [ "$slept" -gt 60000 ]; then good "it slept: $slept ms"; else bad "it slept"; fi
comes "the log says so" logged "the clock was set from"
comes "a run that was due meanwhile begins" has_status succeeded "$delayed"
took=$(($(now_s) - woken))
said="$took s"
if [ $took -lt 30 ]; then good "at once: $took s"; else bad "at once"; fi
comes "of what the job has missed one is made up for" caught_up
for run in "$brief" "$brief_kept"; do
	is running "sleep is no time of run $run" "$(runabout show --json "$run" | field status)"
done
for run in "$brief" "$brief_kept"; do exits 124 "its own time is up" runabout wait "$run"; done
for run in "$long" "$kept"; do
	exits 9 "run $run goes on to its end" runabout wait "$run"
	runabout logs "$run" >/tmp/output 2>/dev/null
	exits 0 "each line of it is there once" test "$(cat /tmp/output)" = "$(seq 0 59)"
done
wait $reader
exits 0 "a reader over the sleep has all of it" test "$(cat /tmp/followed)" = "$(seq 0 59)"

heading "five short sleeps under work"
chatty=$(runabout add --survive -s "$counts")
for number in 1 2 3 4 5; do
	asleep 3
	exits 0 "sleep $number, $slept ms, and a run" runabout run -- true
done
exits 9 "what ran all the time ends well" runabout wait "$chatty"
exits 0 "each line of it is there once" test "$(runabout logs "$chatty" 2>/dev/null)" = "$(seq 0 59)"
is "$pid" "the daemon is the same" "$(main_pid)"
is 0 "and was not started anew" "$(systemctl show -P NRestarts runabout)"
said=$(journalctl -u runabout -o cat)
says_not "Watchdog timeout"
sum_up
