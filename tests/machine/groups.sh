#!/bin/sh
# Control groups as systemd delegates them: limits that hold, beside runs that do not notice; what is left over; ends that reach
# what has left its process group.
. ./checks

exits 0 "apt install" install_package ./runabout.deb
comes "the service is active" systemctl is-active --quiet runabout
groups=/sys/fs/cgroup/system.slice/runabout.service
of_runs() { find "$groups" -mindepth 1 -maxdepth 1 -type d -name 'run-*' 2>/dev/null | wc -l; }
none_left() { [ "$(of_runs)" -eq 0 ]; }
show() { runabout show --json "$1"; }
biggest() { api GET "/v1/runs/$1/events" | sed -n 's/.*"biggest":\({[^}]*}\).*/\1/p'; }
runabout queue default --slots 8 >/dev/null

heading "delegated"
is yes "the unit delegates" "$(systemctl show -P Delegate runabout)"
said=$(runabout doctor 2>&1)
says_not "is not delegated"
exits 0 "a run without limits" runabout run -- true
exits 0 "a run in a group of its own" runabout run --memory 64M -- sh -c 'cat /proc/self/cgroup'
says "runabout.service/run-"
said=$(cat /proc/"$(main_pid)"/cgroup)
says "runabout.service/daemon"

heading "memory"
beside=$(runabout add -s 'for i in 1 2 3 4 5 6; do echo $i; sleep 2; done')
pid=$(main_pid)
# 200 MiB in an emulator of 1 GiB.
eater=$(runabout add --memory 48M -s 'echo before; python3 -c "x = bytearray(200 << 20); print(len(x))"; echo after $?; exec python3 -c "x = bytearray(200 << 20); print(len(x))"')
exits 137 "it is killed" runabout wait "$eater"
said=$(show "$eater")
says '"oom"'
says '"failed"'
says 'memory_peak_bytes'
# The unit keeps the kernel's log from the daemon, which then knows of the process alone that led the others.
said=$(biggest "$eater")
says '"name":"sh"'
echo "        its largest process is told to be $said"
alone=$(runabout add --memory 48M -- python3 -c 'x = bytearray(200 << 20)')
exits 137 "one that eats as much by itself is killed" runabout wait "$alone"
said=$(biggest "$alone")
says '"name":"python3"'
echo "        its largest process is told to be $said"
exits 0 "its output up to then is there" runabout logs "$eater"
says before
exits 0 "the run beside it ends well" runabout wait "$beside"
is "$pid" "the daemon is the same" "$(main_pid)"
exits 0 "one that stays below" runabout run --memory 48M -- python3 -c 'x = bytearray(16 << 20); print(len(x))'

heading "processor"
begun=$(date +%s%3N)
exits 0 "two seconds of work by a fifth of a processor" runabout run --cpus 0.2 -- python3 -c '
import time
while time.process_time() < 2: pass'
took=$(($(date +%s%3N) - begun))
said="$took ms"
if [ $took -gt 8000 ]; then good "take ten: $took ms"; else bad "take ten"; fi
said=$(show last)
says user_ms

heading "processes"
exits 2 "twenty at once, of ten" runabout run --tasks 10 -s 'for i in $(seq 20); do sleep 3 & done; wait'
says "Cannot fork"
exits 2 "a fork bomb ends by its limit" runabout run --tasks 20 -t 60 -s 'bomb() { bomb | bomb; }; bomb 2>/dev/null; exit 2'
comes "nothing of it is left" none_left

heading "what has left its process group"
daemons='for i in $(seq 200); do setsid sh -c "sleep 1000 & exec sleep 1000" & done; wait'
run=$(runabout add -s "$daemons")
many() { [ "$(pgrep -u runabout -x sleep | wc -l)" -ge 400 ]; }
comes "200 call setsid, and fork once more" many
exits 0 "cancel" runabout cancel "$run"
runabout wait "$run" >/dev/null 2>&1
none_sleep() { ! running_as sleep; }
comes "all 400 are gone" none_sleep
comes "so is the group" none_left

heading "kill -9 of the daemon"
runs=
for number in 1 2 3; do runs="$runs $(runabout add --memory 64M -s 'setsid sleep 1000 & sleep 1000')"; done
started() { [ "$(pgrep -u runabout -x sleep | wc -l)" -eq 6 ]; }
comes "three runs" started
before=$(main_pid)
kill -9 "$before"
anew() { pid=$(main_pid) && [ "$pid" != "$before" ] && [ "$pid" != 0 ] && systemctl is-active --quiet runabout; }
comes "another daemon" anew
for run in $runs; do comes "run $run is told to be interrupted" has_status interrupted "$run"; done
comes "nothing of them is left" none_sleep
comes "no group of theirs is" none_left
said=$(journalctl -u runabout -o cat)
says_not "EBUSY"
says_not "Device or resource busy"
exits 0 "limits hold again" runabout run --memory 64M -- true

heading "ten restarts, with runs at work"
for number in 1 2 3 4 5 6 7 8 9 10; do
	runabout add --memory 64M -s 'setsid sleep 1000 & sleep 1000' >/dev/null
	systemctl restart runabout || break
done
is 10 "restarts that went well" $number
comes "nothing is left of them" none_left
comes "no process either" none_sleep
said=$(journalctl -u runabout -o cat)
says_not "Device or resource busy"
exits 0 "stop" systemctl stop runabout
is 0 "no group of it is left" "$(find /sys/fs/cgroup/system.slice -path '*runabout.service*' | wc -l)"
exits 0 "start" systemctl start runabout
exits 0 "a run" runabout run --memory 64M -- true
sum_up
