#!/bin/sh
# A cgroup for each run, under a real service manager: limits hold, one run out of memory ends beside others, and neither a kill
# nor a restart of the daemon finds its place taken by what was there before (systemd#41304), wherever it is started.
. ./checks

state=/var/lib/limits
install -m 755 ./runabout /usr/local/bin/runabout-limits
rb() { /usr/local/bin/runabout-limits --state-dir $state "$@"; }
unit() { systemctl show -P "$1" limits; }
group=/sys/fs/cgroup/system.slice/limits.service
# Escapes from its session and hides whose it is.
escape='setsid env -i sleep 2000 </dev/null >/dev/null 2>&1 & sleep 3000'
escaped() { pgrep -f 'sleep 2000'; }
nobody_escaped() { ! escaped; }
is_up_again() { [ "$(unit MainPID)" != "$1" ] && [ "$(unit MainPID)" != 0 ] && [ "$(systemctl is-active limits)" = active ]; }
has_printed() { [ -n "$(rb logs "$1" 2>/dev/null)" ]; }
has_ended() { case $(rb show --json "$1" | field status) in running | queued) false ;; *) true ;; esac; }
biggest() { curl -sS --unix-socket $state/runabout.sock "http://localhost/v1/runs/$1/events" | sed -n 's/.*"biggest":{[^}]*"name":"\([^"]*\)".*/\1/p'; }
nobody_serves() { ! pgrep -f 'runabout-limits serve'; }
no_scope() { [ ! -e "$hand" ]; }

with() {
	rm -rf $state
	exits 0 "the unit starts" systemd-run -q --unit=limits -p Delegate=yes "$@" -p Type=notify -p NotifyAccess=main \
		-p Restart=on-failure -p RestartSec=1 -p KillMode=mixed -p OOMPolicy=continue \
		/usr/local/bin/runabout-limits serve --state-dir $state --listen none
	is "0::/system.slice/limits.service/daemon" "the daemon is in a leaf" "$(cat "/proc/$(unit MainPID)/cgroup")"
	exits 0 "the doctor finds limits" rb doctor
	says "memory, processors and tasks can be limited"
	rb queue default --slots 4 >/dev/null
	# shellcheck disable=SC2016 # for the shell in there
	exits 0 "a limited run" rb run --memory 60M --tasks 20 -s 'cd /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup) && cat memory.max memory.swap.max pids.max'
	is "62914560 0 20" "its limits" "$(echo "$said" | grep -v '^runabout' | tr '\n' ' ' | sed 's/ $//')"
	beside=$(rb add -s 'sleep 3000')
	greedy=$(rb add --memory 40M -s 'tail /dev/zero; true')
	exits 137 "one that wants more memory is killed" rb wait "$greedy"
	exits 0 "and says why" rb show "$greedy"
	says "oom"
	# Root may read the kernel's log, where that is not forbidden.
	is tail "its largest process, not the one that led it" "$(biggest "$greedy")"
	exits 0 "another goes on" rb show "$beside"
	says "running"
	exits 125 "one that is to survive the service is refused" rb run --survive --memory 60M -- true
	says "would end with limits.service"
	exits 0 "… but for one without limits" rb run --survive -- true
	rb add -s "$escape" >/dev/null
	comes "something escapes its session" escaped
	old=$(unit MainPID)
	kill -9 "$old"
	comes "the daemon comes back after kill -9" is_up_again "$old"
	is 1 "at the first try" "$(unit NRestarts)"
	comes "nothing that escaped is left" nobody_escaped
	exits 0 "runs have cgroups again" rb run -s 'cat /proc/self/cgroup'
	says "/limits.service/run-"
	rb add -s "$escape" >/dev/null
	comes "something escapes again" escaped
	exits 0 "a restart" systemctl restart limits
	exits 1 "nothing that escaped is left" escaped
	is "0::/system.slice/limits.service/daemon" "the daemon is in its leaf" "$(cat "/proc/$(unit MainPID)/cgroup")"
	exits 0 "a stop" systemctl stop limits
	exits 2 "its cgroup is gone" ls -d $group
	systemctl reset-failed limits 2>/dev/null
}

heading "the daemon moves itself, as under systemd before 254"
with
if [ "$(systemctl --version | awk 'NR == 1 { print $2 }')" -ge 254 ]; then
	heading "systemd starts it in its leaf"
	with -p DelegateSubgroup=daemon
fi

# In a scope the tree outlives the daemon, and what survives has its cgroup beside it.
heading "beside a daemon that is gone"
rm -rf $state
hand=/sys/fs/cgroup/system.slice/hand.scope
systemd-run -q --scope --collect --unit=hand -p Delegate=yes /usr/local/bin/runabout-limits serve --state-dir $state --listen none \
	>/dev/null 2>&1 &
comes "it serves" rb ls
# shellcheck disable=SC2016 # for the shell in there
kept=$(rb add --survive --memory 60M --tasks 20 -s 'cat /proc/self/cgroup; until [ -e /tmp/go ]; do sleep 0.2; done; tail /dev/zero')
comes "it runs" has_printed "$kept"
said=$(rb logs "$kept" 2>&1)
says "/hand.scope/run-$kept.1-"
of_it=$(echo $hand/run-"$kept".1-*)
is 62914560 "its limit" "$(cat "$of_it/memory.max")"
pid=$(rb show --json "$kept" | field pid)
kill -9 "$(pgrep -f 'runabout-limits serve')"
comes "the daemon is gone" nobody_serves
is 62914560 "its limit holds" "$(cat "$of_it/memory.max")"
sh -c "echo 0 >$hand/daemon/cgroup.procs && exec /usr/local/bin/runabout-limits serve --state-dir $state --listen none" \
	>/dev/null 2>&1 &
comes "another serves" rb ls
exits 0 "it goes on" rb show "$kept"
says "running"
is "$pid" "it is the same process" "$(rb show --json "$kept" | field pid)"
kill "$(pgrep -f 'runabout-limits serve')"
comes "that one stops" nobody_serves
is 62914560 "its limit still holds" "$(cat "$of_it/memory.max")"
touch /tmp/go
gone() { [ ! -e "$of_it" ]; }
comes "its keeper removes its cgroup, without a daemon" gone
comes "so does the scope, which is empty" no_scope
systemd-run -q --scope --collect --unit=hand -p Delegate=yes /usr/local/bin/runabout-limits serve --state-dir $state --listen none \
	>/dev/null 2>&1 &
comes "a third serves, in a new one" rb ls
comes "it has ended" has_ended "$kept"
said=$(rb show --json "$kept")
says '"oom"'
says '"memory_peak_bytes"'
kill "$(pgrep -f 'runabout-limits serve')"
comes "that one stops, too" nobody_serves
wait
comes "nothing of it is left" no_scope
sum_up
