#!/bin/sh
# Commands that outlive the daemon, under systemd: each byte once and the true exit code, through restarts, upgrades, kills, and
# a neighbour that runs out of memory; ended by the slice, and by removing the package.
. ./checks

exits 0 "apt install" install_package ./runabout.deb
comes "the service is active" systemctl is-active --quiet runabout
runabout queue default --slots 16 >/dev/null
anew() { pid=$(main_pid) && [ "$pid" != "$before" ] && [ "$pid" != 0 ] && systemctl is-active --quiet runabout; }
keepers() { systemctl list-units --no-legend --plain 'runabout-keep@*' | wc -l; }
no_keepers() { [ "$(keepers)" -eq 0 ]; }
has_printed() { [ -n "$(runabout logs "$1" 2>/dev/null)" ]; }
unit_is_gone() { ! systemctl is-active --quiet "$unit"; }
many_sleep() { [ "$(pgrep -u runabout -x sleep | wc -l)" -ge 400 ]; }
nobody_sleeps() { ! running_as sleep; }
# It prints 20,000 numbered lines, with a wait now and then, on both streams, and exits 9.
cat >/usr/local/bin/counts <<'COUNTS'
#!/usr/bin/python3
import sys, time
lines = int(sys.argv[1])
for number in range(lines):
    sys.stdout.write(f"{number}\n")
    if number % 100 == 0:
        sys.stdout.flush()
        sys.stderr.write(f"e{number}\n")
        sys.stderr.flush()
        time.sleep(float(sys.argv[2]))
sys.exit(9)
COUNTS
chmod 755 /usr/local/bin/counts
counted() {
	lines=$1
	run=$2
	exits 9 "its exit code is true" runabout wait "$run"
	runabout logs "$run" 2>/tmp/errors >/tmp/output
	seq 0 $((lines - 1)) >/tmp/wanted
	exits 0 "each of $lines lines is there once, in order" cmp /tmp/wanted /tmp/output
	seq 0 100 $((lines - 1)) | sed 's/^/e/' >/tmp/wanted
	exits 0 "… of its errors, too" cmp /tmp/wanted /tmp/errors
}

heading "a unit of its own"
run=$(runabout add --survive -- counts 20000 0.1)
comes "it runs" has_status running "$run"
is 1 "units of keepers" "$(keepers)"
said=$(systemctl list-units --no-legend --plain 'runabout-keep@*'; cat "/proc/$(pgrep -x counts || pgrep -f counts | head -n 1)/cgroup")
says "runabout-runs.slice"
for how in restart restart restart; do
	before=$(main_pid)
	exits 0 "systemctl $how" systemctl $how runabout
	exits 0 "it still runs" has_status running "$run"
done
counted 20000 "$run"
comes "no keeper is left" no_keepers

heading "upgraded"
run=$(runabout add --survive -- counts 20000 0.1)
comes "it runs" has_status running "$run"
before=$(main_pid)
exits 0 "apt install of the next version" install_package ./next.deb
comes "another daemon" anew
counted 20000 "$run"
said=$(dpkg-query -W -f '${Version}' runabout)
says "+next"

heading "kill -9 of the daemon, ten times"
run=$(runabout add --survive -- counts 20000 0.15)
comes "it runs" has_status running "$run"
mkdir -p /run/systemd/system/runabout.service.d
printf '[Service]\nRestartSec=100ms\n' >/run/systemd/system/runabout.service.d/quick.conf
systemctl daemon-reload
for number in 1 2 3 4 5 6 7 8 9 10; do
	before=$(main_pid)
	kill -9 "$before"
	until_true anew || break
done
is 10 "daemons" $number
counted 20000 "$run"

heading "away for a minute"
quick=$(runabout add --survive -- counts 300 0)
long=$(runabout add --survive -- counts 20000 0.1)
comes "it runs" has_status running "$long"
exits 0 "systemctl stop" systemctl stop runabout
sleep 60
exits 0 "systemctl start" systemctl start runabout
counted 300 "$quick"
counted 20000 "$long"

heading "one runs out of memory, beside others"
beside=$(runabout add --survive -- counts 20000 0.05)
comes "it runs" has_status running "$beside"
mkdir -p /run/systemd/system/runabout-keep@.service.d
printf '[Service]\nMemoryMax=64M\n' >/run/systemd/system/runabout-keep@.service.d/memory.conf
systemctl daemon-reload
eater=$(runabout add --survive -- python3 -c 'x = bytearray(200 << 20)')
exits 137 "it is killed" runabout wait "$eater"
said=$(runabout show --json "$eater")
says '"oom"'
rm -r /run/systemd/system/runabout-keep@.service.d
systemctl daemon-reload
counted 20000 "$beside"

heading "limits"
# shellcheck disable=SC2016 # for the shell in there
exits 0 "one with limits" runabout run --survive --memory 60M --tasks 20 --cpus 0.9 -s 'cat /proc/self/cgroup; cd /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup) && cat memory.max memory.swap.max memory.oom.group pids.max cpu.max'
is "62914560 0 1 20 90000 100000" "its limits" "$(echo "$said" | grep -v '^0::\|^runabout' | tr '\n' ' ' | sed 's/ $//')"
says "/runabout-runs.slice/runabout-keep@"
beside=$(runabout add --survive --memory 200M -- counts 20000 0.05)
comes "one runs" has_status running "$beside"
# shellcheck disable=SC2016 # for the shell in there
eater=$(runabout add --survive --memory 48M -s 'echo before; until [ -e /tmp/go ]; do sleep 0.2; done; tail /dev/zero; echo after')
comes "another runs" has_printed "$eater"
group=$(find /sys/fs/cgroup/runabout.slice -type d -name "run-$eater.1-*")
unit=$(basename "$(dirname "$group")")
is 50331648 "its limit" "$(cat "$group/memory.max")"
keeper=$(systemctl show -P MainPID "$unit")
is 1 "threads of its keeper" "$(find "/proc/$keeper/task" -mindepth 1 -maxdepth 1 | wc -l)"
own=$(awk '/^Private_/ { sum += $2 } END { print sum }' "/proc/$keeper/smaps_rollup")
echo "        its keeper has $own KiB of its own"
exits 0 "systemctl stop" systemctl stop runabout
touch /tmp/go
gone() { [ ! -e "$group" ]; }
comes "its cgroup is gone, without a daemon" gone
comes "so is its unit" unit_is_gone
exits 0 "systemctl start" systemctl start runabout
exits 137 "it was killed" runabout wait "$eater"
said=$(runabout show --json "$eater")
says '"oom"'
says 'memory_peak_bytes'
is before "what it printed" "$(runabout logs "$eater" 2>/dev/null)"
counted 20000 "$beside"
daemons='for i in $(seq 200); do setsid env -i sh -c "sleep 1000 & exec sleep 1000" & done; wait'
run=$(runabout add --survive --tasks 1000 -s "$daemons")
comes "200 call setsid, and fork once more" many_sleep
exits 0 "cancel" runabout cancel "$run"
runabout wait "$run" >/dev/null 2>&1
comes "all 400 are gone" nobody_sleeps
exits 124 "one whose time is up while it escapes" runabout run --survive --memory 60M -t 5 -s "$daemons"
comes "nothing of that is left" nobody_sleeps
comes "no keeper is left" no_keepers

heading "limits of a person's own"
useradd --create-home --shell /bin/sh alice
exits 0 "enable runabout@alice" systemctl enable -q --now runabout@alice
# shellcheck disable=SC2016 # for the shell in there
exits 0 "a run as alice" runuser -u alice -- sh -c 'cd && runabout run --survive --memory 60M -s "id -un; cat /proc/self/cgroup; cat /sys/fs/cgroup\$(cut -d: -f3 /proc/self/cgroup)/memory.max"'
says alice
says "/runabout-runs.slice/runabout-keep-of@"
says 62914560
exits 0 "disable it" systemctl disable -q --now runabout@alice

heading "a keeper that is killed"
run=$(runabout add --survive -- sleep 1000)
comes "it runs" has_status running "$run"
until_true pgrep -u runabout -x sleep
for unit in $(systemctl list-units --no-legend --plain 'runabout-keep@*' | awk '{ print $1 }'); do
	kill -9 "$(systemctl show -P MainPID "$unit")"
done
comes "the run is told to be interrupted" has_status interrupted "$run"
gone() { ! running_as sleep; }
comes "its command is gone" gone
comes "no unit is left" no_keepers

heading "ended by the slice"
run=$(runabout add --survive -- sleep 1000)
comes "it runs" has_status running "$run"
until_true running_as sleep
exits 0 "systemctl stop runabout-runs.slice" systemctl stop runabout-runs.slice
comes "its command is gone" gone
over() { case $(runabout show --json "$run" | field status) in running | queued) false ;; *) true ;; esac; }
comes "the run has ended" over
said=$(runabout show --json "$run" | field status)
echo "        as $said"
exits 0 "the next one survives as before" sh -c 'runabout run --survive -- true'

heading "removed"
run=$(runabout add --survive -- sleep 1000)
until_true running_as sleep
exits 0 "apt remove" apt-get remove -y -qq -o Dpkg::Use-Pty=0 runabout
comes "its command is gone" gone
comes "no keeper is left" no_keepers
exits 1 "no process of it is left" pgrep -u runabout
sum_up
