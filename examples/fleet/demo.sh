#!/bin/sh
# Three boxes and a hub at work, on loopback and scratch state that is removed at the end: `make fleet-demo`.
#
# Work is sent by tag. One box is killed, another is cut off; work goes on at the third, and waits for the two. They come
# back. Then the hub's events are compared with those of the boxes, one by one, and the work with what was done.
# Exits 1 as soon as anything is not as promised.
#
# RUNABOUT, BRIDGE and NATS_SERVER name the programs.
set -eu
cd "$(dirname "$0")/../.."

bold='' plain=''
[ ! -t 1 ] || [ -n "${NO_COLOR-}" ] || bold=$(printf '\033[1m') plain=$(printf '\033[m')
step() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
fail() {
	printf 'demo: NOT AS PROMISED: %s\n' "$1" >&2
	for log in "$dir"/*.log; do
		[ ! -s "$log" ] || tail -n 20 "$log" | sed "s/^/  $(basename "$log" .log): /" >&2
	done
	exit 1
}

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export RUNABOUT="${RUNABOUT:-$target/debug/runabout}" BRIDGE="${BRIDGE:-$target/bridge/debug/runabout-bridge}"
export NATS_SERVER="${NATS_SERVER:-$target/peers/bin/nats-server}"
dir=$(mktemp -d "${TMPDIR:-/tmp}/runabout-fleet.XXXXXX")
for program in "$RUNABOUT" "$BRIDGE" "$NATS_SERVER"; do
	[ -x "$program" ] || fail "$program is not there; make fleet-demo builds and installs it"
done

# Only what was started here is ended. Each box leads a group of its own, so that it can be killed as a whole.
groups='' hub=''
cleanup() {
	code=$?
	trap - EXIT INT TERM HUP
	for group in $groups; do
		kill -CONT "-$group" 2>/dev/null || true
		kill -TERM "-$group" 2>/dev/null || true
	done
	[ -z "$hub" ] || kill "$hub" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$dir"
	exit "$code"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Waits until a command succeeds: eventually WHAT SECONDS COMMAND…
eventually() {
	what=$1 tries=$(($2 * 5))
	shift 2
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || fail "in vain: $what"
		sleep 0.2
	done
}

ask() { curl -sSf --unix-socket "$dir/$1/runabout.sock" "http://localhost$2"; }
fleet() { "$BRIDGE" hub --server "$HUB" "$@"; }
box() {
	STATE=$dir/$1 setsid examples/fleet/box "$1" primes 2>>"$dir/$1.log" >"$dir/$1.out" &
	eval "group_$1=$!"
	groups="$groups $!"
}
there() { fleet boxes --json | jq -e --arg name "$1" 'any(.name == $name)'; }
# How many runs the hub knows that have ended.
ended() { fleet ls --json --limit 10000 | jq '[.[] | select(.status != "queued" and .status != "running")] | length'; }
all_ended() { [ "$(ended)" -ge "$1" ]; }
all_known() { [ "$(fleet ls --json --limit 10000 | jq length)" -ge "$1" ]; }

step "1. A hub, and three boxes that take work of the tag \"primes\""
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export HUB="nats://127.0.0.1:$port"
examples/fleet/hub "$dir/hub" "$port" 2>"$dir/hub.log" &
hub=$!
eventually "the hub is ready" 10 grep -q 'Server is ready' "$dir/hub.log"
box barn
eventually "barn's daemon" 10 ask barn /healthz
"$BRIDGE" nats --server "$HUB" --url "unix:$dir/barn/runabout.sock" --tags primes --setup 2>>"$dir/setup.log" ||
	fail "the hub's streams could not be made"
box mill
box shed
for name in barn mill shed; do
	eventually "$name says that it is there" 20 there "$name"
	"$RUNABOUT" --state-dir "$dir/$name" queue default --slots 2 >/dev/null
	ask "$name" /v1/system | jq -r .instance >"$dir/$name.instance"
done
fleet boxes | cut -c 1-100 | sed 's/^/  /'

# What work does: it writes down that it ran, and takes a while.
cat >"$dir/work.sh" <<COMMAND
echo "\$RUNABOUT_FLEET_ID" >>"$dir/done"
sleep "\$1"
COMMAND
work() { # HOW MANY, SECONDS, BY WHAT…
	count=$1 takes=$2
	shift 2
	for _ in $(seq "$count"); do
		fleet add "$@" -- sh "$dir/work.sh" "$takes" >>"$dir/sent" || fail "work could not be sent"
	done
}

step "2. Send 12 pieces of work to the tag: who has a free slot takes one"
work 12 0.3 --tag primes
eventually "all of it is done" 30 all_ended 12
fleet ls --json --limit 10000 | jq -r '.[].box' | sort | uniq -c | sed 's/^ */  /'

step "3. Six longer ones; while they run, mill is killed, and shed is cut off"
work 6 3 --tag primes
eventually "all are taken" 20 all_known 18
# The box's own group, which it leads.
# shellcheck disable=SC2154
kill -KILL "-$group_mill"
kill -STOP "$(cat "$dir/shed/bridge.pid")"
echo "  mill: daemon and bridge are dead. shed: its daemon works on, its bridge neither hears nor says anything."

step "4. Work for the tag goes on at barn; work for mill and shed themselves waits for them"
work 8 0.2 --tag primes
for name in barn mill shed; do work 2 0.2 --box "$(cat "$dir/$name.instance")"; done
eventually "barn has done what it was sent" 30 all_ended 22
fleet ls --json --limit 10000 | jq -r '.[].status' | sort | uniq -c | sed 's/^ */  /'

step "5. Both come back"
box mill
kill -CONT "$(cat "$dir/shed/bridge.pid")"
sent=$(wc -l <"$dir/sent")
eventually "all $sent pieces of work are done" 60 all_ended "$sent"

step "6. Is anything missing, is anything doubled?"
sort "$dir/sent" >"$dir/sent.sorted"
sort "$dir/done" >"$dir/done.sorted"
diff "$dir/sent.sorted" "$dir/done.sorted" >&2 || fail "what was done is not what was sent, each once"
echo "  $sent pieces of work were sent, and each was begun once"
# What an event is, in a form that two can be compared by.
events='{id, run, seq, kind, data}'
total=0
for name in barn mill shed; do
	instance=$(cat "$dir/$name.instance")
	caught_up() {
		last=$(ask "$name" '/v1/events?after=-1' | jq '.events[-1] | "\(.run) \(.id)"' -r)
		fleet show "$instance/${last% *}" | jq -e --argjson id "${last#* }" -s 'any(.id == $id)'
	}
	eventually "the hub has the last event of $name" 20 caught_up
	ask "$name" '/v1/events?after=0&limit=10000' | jq -cS ".events[] | $events" >"$dir/$name.box"
	fleet ls --json --limit 10000 --box "$instance" | jq -r '.[].run' | sort -n |
		while read -r run; do fleet show "$instance/$run"; done | jq -cS "$events" >"$dir/$name.hub"
	sort "$dir/$name.box" >"$dir/$name.box.sorted"
	sort "$dir/$name.hub" >"$dir/$name.hub.sorted"
	diff "$dir/$name.box.sorted" "$dir/$name.hub.sorted" >&2 || fail "the hub's events of $name are not the box's"
	# Of each run in order, too: by seq, without a gap.
	jq -s -e 'group_by(.run) | all([.[].seq] == [range(1; length + 1)])' "$dir/$name.hub" >/dev/null ||
		fail "the hub's events of $name are not in order"
	count=$(wc -l <"$dir/$name.box")
	total=$((total + count))
	echo "  $name: $count events, at the hub the same, in order, each once"
done

step "All as promised: $sent pieces of work, $total events."
