#!/bin/sh
# A medium that is slow, fails, becomes read-only and full, by the kernel's own device mapper: a submit that was acknowledged is
# there afterwards, one that cannot be kept is refused, and the daemon goes on by itself once the cause has gone. `faults.sh plant`
# has a daemon whose flushes do nothing, which has to be found.
. ./checks
plant=
[ "${1-}" != plant ] || plant=--setenv=LD_PRELOAD=/hand/no_flush.so

modprobe -a loop dm-mod dm-delay dm-flakey
fallocate -l 200M /var/tmp/disk
loop=$(losetup --find --show /var/tmp/disk)
sectors=$(blockdev --getsz "$loop")
# table TARGET PARAMETERS: what the device does from now on.
table() {
	dmsetup suspend --nolockfs medium
	dmsetup load medium --table "0 $sectors $1"
	dmsetup resume medium
}
dmsetup create medium --table "0 $sectors linear $loop 0"
mkfs.ext4 -q /dev/mapper/medium || exit
place=/srv/medium state=/srv/medium/state
mkdir -p $place
mount /dev/mapper/medium $place || exit
rb() { ./runabout --state-dir $state "$@"; }
# As the unit has it: one that exits because it cannot know what is on the medium is started anew.
serve() {
	# shellcheck disable=SC2086 # one word, or none
	systemd-run --quiet --unit=medium --collect $plant -p Type=notify -p NotifyAccess=main -p Restart=on-failure -p RestartSec=1s \
		-p StartLimitIntervalSec=0 -p TimeoutStopSec=45s "$PWD/runabout" serve --state-dir $state --listen none
}
submit() { curl -s -o ${answer-/tmp/answer} -w '%{http_code}' --max-time 60 --unix-socket $state/runabout.sock -H 'content-type: application/json' -d "{\"command\":[\"true\"],\"name\":\"$1\"}" http://localhost/v1/runs; }
ms() { date +%s%3N; }
acknowledged=/tmp/acknowledged
: >$acknowledged
# submits COUNT NAME: how many of them were acknowledged.
submits() {
	took=0 refused=
	for number in $(seq "$1"); do
		status=$(submit "$2-$number")
		case $status in
		201) took=$((took + 1)) && echo "$2-$number" >>$acknowledged ;;
		*) refused="$refused $status" ;;
		esac
	done
}
accepts() { [ "$(submit again-"$(ms)")" = 201 ]; }
# What was acknowledged is there, each once.
all_there() {
	python3 - "$1" <<'PY'
import sqlite3, sys
database = sqlite3.connect(sys.argv[1] + "/runabout.db")
wanted = open("/tmp/acknowledged").read().split()
there = [name for (name,) in database.execute("SELECT name FROM runs")]
missing = [name for name in wanted if there.count(name) != 1]
health = database.execute("PRAGMA integrity_check").fetchone()[0]
print(f"{len(wanted)} acknowledged, not there once: {missing}; {health}")
sys.exit(bool(missing) or health != "ok")
PY
}
serve
heading "a card that takes 100 ms for each flush"
submits 10 quick
is 10 "submits before" $took
# Reads and writes at once, flushes 100 ms late.
table "delay $loop 0 0 $loop 0 0 $loop 0 100"
begun=$(ms)
submits 20 slow
each=$((($(ms) - begun) / 20))
is 20 "submits" $took
said="$each ms"
if [ $each -ge 100 ] && [ $each -lt 5000 ]; then good "each took its flush: $each ms"; else bad "each took its flush"; fi
begun=$(ms)
clients=
for client in $(seq 8); do
	(for number in 1 2 3 4 5; do answer=/dev/null submit "together-$client-$number" >/dev/null; done) &
	clients="$clients $!"
done
# shellcheck disable=SC2086 # a list of words
wait $clients
together=$((($(ms) - begun) / 40))
said="$together ms, alone $each ms"
if [ $together -lt $each ]; then good "eight at once share flushes: $together ms each"; else bad "eight at once share flushes"; fi
exits 0 "a command that prints all the time" rb run -s 'i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); done; sleep 1; echo last'
says last
table "linear $loop 0"

heading "writes fail for five seconds"
submits 5 before
table "flakey $loop 0 0 10000 1 error_writes"
submits 5 failing
said="acknowledged $took, else$refused"
if [ $took -eq 0 ]; then good "what cannot be kept is refused: $said"; else bad "what cannot be kept is refused"; fi
table "linear $loop 0"
# ext4 has given up this mount by then, as it does where its journal cannot be written.
if awk '$2 == "'$place'" { print $4 }' /proc/mounts | grep -q '^rw' && ! dmesg | grep -q "aborted journal\|Remounting filesystem read-only"; then
	comes "it goes on by itself" accepts
else
	echo "        ext4 has made itself read-only"
fi
echo "        the daemon was started anew $(systemctl show -P NRestarts medium) times"
systemctl stop medium
umount $place && mount /dev/mapper/medium $place || exit
serve
exits 0 "after a mount anew all is there" all_there $state
comes "… and it takes more" accepts

heading "ext4 finds an error and makes itself read-only"
submits 5 writable
tune2fs -e remount-ro /dev/mapper/medium >/dev/null
mount -o remount,errors=remount-ro $place
echo error >"/sys/fs/ext4/$(basename "$(readlink -f /dev/mapper/medium)")/trigger_fs_error"
submits 3 read-only
is 0 "submits are refused" $took
said=$(cat /tmp/answer)
says storage_
systemctl stop medium
umount $place
fsck.ext4 -fp /dev/mapper/medium >/dev/null
mount /dev/mapper/medium $place || exit
serve
comes "mended and mounted again, it takes them" accepts
exits 0 "all that was acknowledged is there" all_there $state

heading "full"
submits 5 room
said=
fallocate -l "$(($(stat -f -c '%a * %S' $place)))" $place/filler 2>/dev/null || dd if=/dev/zero of=$place/filler bs=1M 2>/dev/null || true
submits 3 full
is 0 "submits are refused" $took
said=$(cat /tmp/answer)
says storage_full
exits 0 "it reads" rb ls
rm $place/filler
comes "with room again it takes them without a restart" accepts

heading "the end"
exits 0 "it stops in order" systemctl stop medium
said=$(journalctl -u medium -o cat | tail -n 20)
says_not "Failed with result"
exits 0 "all that was acknowledged is there" all_there $state
printf '%s\n' "$said"
umount $place
exits 0 "the file system is sound" fsck.ext4 -fn /dev/mapper/medium
sum_up
