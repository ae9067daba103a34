#!/bin/sh
# A clock without a battery. The emulator starts in 1970, from which systemd goes on to the day it was built, long before the
# daemon was. Then the time is set at once, as a time server's client does; the battery fails again; the clock goes back an hour.
. ./checks

# This computer's time is on the file that it has just written.
real=$(stat -c %Y ./command)
set_clock() { date -u -s "@$1" >/dev/null; }
# firings JOB: how many there are; firings JOB double: how many times of the clock are among them twice.
firings() {
	api GET "/v1/jobs/$1/firings?limit=500" | python3 -c '
import json, sys
times = [firing["scheduled_for"] for firing in json.load(sys.stdin)["firings"]]
print(len(times) - len(set(times)) if sys.argv[1:] else len(times))' ${2+"$2"}
}
more_firings() { [ "$(firings "$1")" -gt "$2" ]; }
# stands_still JOB: no firing in the time in which there would be five.
stands_still() {
	had=$(firings "$1")
	sleep 10
	is "$had" "firings of \"$1\" ten seconds later" "$(firings "$1")"
}
whoami() { curl -sS -o /tmp/answer -w '%{http_code}' -H "Authorization: Bearer $session" http://127.0.0.1:7867/v1/session; }
logged() { journalctl -u runabout -o cat | grep -q "$1"; }
# in_order: events of all runs have rising ids, and each run's are numbered without a gap.
in_order() {
	api GET '/v1/events?after=0&limit=10000&kinds=queued,started,output,cancel_requested,attempt_ended,finished' | python3 -c '
import json, sys
last, newest = {}, 0
for event in json.load(sys.stdin)["events"]:
    assert event["id"] > newest, event
    newest = event["id"]
    if event["run"]:
        assert event["seq"] == last.get(event["run"], 0) + 1, event
        last[event["run"]] = event["seq"]
print(len(last), "runs,", newest, "events")'
}

heading "a start without a clock: $(date -u +%F)"
exits 0 "apt install" install_package ./runabout.deb
comes "the service is active" systemctl is-active --quiet runabout
exits 0 "the doctor looks at it" runabout doctor
says "that is before this program was built"
runabout queue default --slots 8 >/dev/null
runabout queue jobs --slots 4 >/dev/null
exits 0 "a run" runabout run -- echo first
first=$(runabout show --json last | field id)
token=$(runabout enroll --role operator)
session=$(curl -sS -H 'content-type: application/json' -d "{\"token\":\"$token\"}" http://127.0.0.1:7867/v1/enroll | field session_token)
is 200 "a session" "$(whoami)"
exits 0 "a job of every other second" runabout job set seconds --schedule '*/2 * * * * *' -q jobs -- true
exits 0 "one of every two seconds from now on" runabout job set every --schedule '@every 2s' -q jobs -- true
stands_still seconds
is 0 "firings of \"every\"" "$(firings every)"
exits 0 "by hand it starts" runabout job run seconds
until_true pgrep -x runabout
long=$(runabout add -t 1h -s 'i=0; while [ $i -lt 40 ]; do echo $i; i=$((i+1)); sleep 1; done')
brief=$(runabout add -t 60 -- sleep 1000)
comes "one runs" has_status running "$brief"
runabout logs -f "$long" >/tmp/followed 2>/tmp/errors &
reader=$!

heading "the time is set: $(date -u -d "@$real" +%F)"
pid=$(main_pid)
set_clock "$real"
comes "the log says so" logged "the clock was set from"
is 200 "the session holds" "$(whoami)"
comes "the job fires" more_firings seconds 0
comes "the other, too" more_firings every 0
said=$(firings seconds)
if [ "$said" -lt 60 ]; then good "nothing is made up for from before: $said"; else bad "nothing is made up for from before"; fi
is 0 "times that fired twice" "$(firings seconds double)"
exits 0 "the doctor is content" runabout doctor
says_not "before this program was built"
exits 0 "prune" runabout prune
exits 0 "a run of the wrong year is there" runabout show "$first"
is running "one is not late by the clock" "$(runabout show --json "$brief" | field status)"
exits 124 "its time is up by the time that has passed" runabout wait "$brief"
took=$(api GET "/v1/runs/$brief/events" | sed -n 's/.*"duration_ms":\([0-9]*\).*/\1/p')
said="$took ms"
if [ "$took" -ge 60000 ] && [ "$took" -lt 300000 ]; then good "it says so: $took ms"; else bad "it says so"; fi
exits 0 "the other goes on to its end" runabout wait "$long"
wait $reader
exits 0 "a reader over the step has all of it" test "$(cat /tmp/followed)" = "$(seq 0 39)"
is "$pid" "the daemon is the same" "$(main_pid)"

heading "the battery fails: 1970"
exits 0 "stop" systemctl stop runabout
set_clock 86400
exits 0 "start" systemctl start runabout
exits 0 "a run" runabout run -- true
is 200 "the session holds" "$(whoami)"
stands_still seconds
exits 0 "prune" runabout prune
exits 0 "the first run is there" runabout show "$first"
exits 0 "so is the one before" runabout show "$long"
set_clock $((real + 600))
had=$(firings seconds)
comes "with the time it fires again" more_firings seconds "$had"
is 200 "the session holds" "$(whoami)"
is 0 "times that fired twice" "$(firings seconds double)"

heading "an hour back"
set_clock $((real - 3000))
stands_still seconds
exits 0 "a run" runabout run -- true
set_clock $((real + 1200))
had=$(firings seconds)
comes "an hour on it fires again" more_firings seconds "$had"
is 0 "times that fired twice" "$(firings seconds double)"
is 0 "of the other job, too" "$(firings every double)"
exits 0 "events are in order" in_order
echo "        $said"
is 0 "the daemon was not started anew" "$(systemctl show -P NRestarts runabout)"
sum_up
