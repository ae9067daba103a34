#!/bin/sh
# The package on a machine with systemd: installed, upgraded with runs at work, stopped, removed, installed again, purged.
. ./checks

heading "installed"
exits 0 "apt install" install_package ./runabout.deb
comes "the service is active" systemctl is-active --quiet runabout
exits 0 "a run" runabout run -- id -un
says runabout
exits 7 "a run's exit code" runabout run -s 'echo out; echo err >&2; exit 7'
exits 0 "the page's own port answers" curl -fsS http://127.0.0.1:7867/healthz
is "660 runabout" "its socket" "$(stat -c '%a %U' /run/runabout/runabout.sock)"
is "700 runabout" "its state" "$(stat -c '%a %U' /var/lib/runabout)"
said=$(journalctl -u runabout -o cat)
says "listening on"
exits 0 "no unit has a fault" systemd-analyze --man=no verify runabout.service runabout.socket runabout@alice.service
exits 0 "doctor" runabout doctor

heading "watched by systemd"
is 2min "it is watched" "$(systemctl show -P WatchdogUSec runabout)"
mkdir -p /run/systemd/system/runabout.service.d
printf '[Service]\nWatchdogSec=10s\nRestartSec=100ms\n' >/run/systemd/system/runabout.service.d/quick.conf
systemctl daemon-reload
systemctl restart runabout
before=$(main_pid)
kill -STOP "$before"
anew() { pid=$(main_pid) && [ "$pid" != "$before" ] && [ "$pid" != 0 ] && systemctl is-active --quiet runabout; }
comes "a daemon that stands still is started anew" anew
said=$(journalctl -u runabout -o cat)
says "Watchdog timeout"
exits 0 "… and works" runabout run -- true
before=$(main_pid)
sleep 25
is "$before" "one that lives is left alone for 25 s" "$(main_pid)"
kill -KILL "$before"
comes "one that was killed is started anew" anew
exits 0 "… and works" runabout run -- true
rm -r /run/systemd/system/runabout.service.d
systemctl daemon-reload
systemctl restart runabout

heading "upgraded with one run at work and one that waits"
running=$(runabout add -- sleep 1000)
waiting=$(runabout add -- true)
comes "one runs" has_status running "$running"
before=$(main_pid)
exits 0 "apt install of the next version" install_package ./next.deb
says "runs that end as interrupted, unless they survive it or are queued again: 1"
says "runs that stay queued: 1"
comes "another daemon" anew
said=$(dpkg-query -W -f '${Version}' runabout)
says "+next"
comes "what ran is told to be interrupted" has_status interrupted "$running"
comes "what waited has run" has_status succeeded "$waiting"
if running_as sleep; then bad "its process is gone"; else good "its process is gone"; fi

heading "upgraded while it is stopped"
systemctl stop runabout
exits 0 "apt install of the version before" install_package ./runabout.deb
exits 3 "what was stopped stays stopped" systemctl is-active runabout
systemctl start runabout
exits 0 "… and starts" runabout run -- true

heading "sockets held by systemd"
systemctl disable -q --now runabout.service
exits 0 "enable runabout.socket" systemctl enable -q --now runabout.socket
exits 3 "the daemon does not run" systemctl is-active runabout
exits 0 "the first client starts it" runabout run -- true
exits 0 "… by TCP as well" curl -fsS http://127.0.0.1:7867/healthz
(sleep 0.2 && runabout run -- echo waited >/tmp/waited 2>&1) &
systemctl restart runabout
wait
is waited "a client that comes while it restarts" "$(cat /tmp/waited)"
systemctl disable -q --now runabout.socket
systemctl enable -q --now runabout.service

heading "a person's own"
useradd --create-home --shell /bin/sh bob
exits 0 "enable runabout@bob" systemctl enable -q --now runabout@bob
exits 0 "a run as bob" runuser -u bob -- sh -c 'cd && runabout run -- id -un'
says bob

heading "removed"
running=$(runabout add -- sleep 1000)
comes "one runs" has_status running "$running"
exits 0 "apt remove" apt-get remove -y -qq -o Dpkg::Use-Pty=0 runabout
says "its queue and output stay in /var/lib/runabout until it is purged"
exits 1 "no daemon is left" pgrep -x runabout
exits 1 "no command is left" pgrep -u runabout
exits 0 "the database is" test -e /var/lib/runabout/runabout.db
exits 1 "no unit is" systemctl cat runabout.service runabout.socket
is "" "no unit failed" "$(systemctl --failed --no-legend --plain | awk '/runabout/ { print $1 }')"
exits 0 "apt install again" install_package ./runabout.deb
comes "it is active at once" systemctl is-active --quiet runabout
comes "it still knows what ran" has_status interrupted "$running"

heading "purged"
exits 0 "apt purge" apt-get purge -y -qq -o Dpkg::Use-Pty=0 runabout
exits 1 "its state is gone" test -e /var/lib/runabout
exits 1 "its configuration is gone" test -e /etc/runabout
exits 1 "no process is left" pgrep -u runabout
exits 1 "nothing of it is in /run" test -e /run/runabout
is "" "nothing is left among units" "$(find /etc/systemd /run/systemd /usr/lib/systemd -name '*runabout*' | grep -v bob)"
sum_up
