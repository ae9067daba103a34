#!/bin/sh
# Runabout at work, on scratch state that is removed at the end: `make demo`, or this file from anywhere.
#
# A command prints on both streams for some seconds. A reader follows it live and is killed in the middle; another
# goes on where the first one stopped. Then what the two read is compared with what the command wrote to files.
# Exits 1 as soon as anything is not as promised.
#
# RUNABOUT=/path/to/runabout shows another binary than the one built here.
set -eu
cd "$(dirname "$0")/.."

bold='' plain=''
[ ! -t 1 ] || [ -n "${NO_COLOR-}" ] || bold=$(printf '\033[1m') plain=$(printf '\033[m')
step() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
fail() {
	printf 'demo: NOT AS PROMISED: %s\n' "$1" >&2
	[ ! -s "$dir/daemon.log" ] || sed 's/^/  daemon: /' "$dir/daemon.log" >&2
	exit 1
}

# Only what was started here is ended, whether the demo ends well, badly or by Ctrl-C.
dir=$(mktemp -d "${TMPDIR:-/tmp}/runabout-demo.XXXXXX")
daemon='' follower=''
cleanup() {
	code=$?
	trap - EXIT INT TERM HUP
	[ -z "$follower" ] || kill "$follower" 2>/dev/null || true
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
	[ -z "$daemon" ] || wait "$daemon" 2>/dev/null || true
	rm -rf "$dir"
	exit "$code"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The release binary where it is newer than the sources; else a debug build, which takes minutes less.
target=${CARGO_TARGET_DIR:-target}
if [ -n "${RUNABOUT-}" ]; then
	binary=$RUNABOUT
elif [ -x "$target/release/runabout" ] &&
	[ -z "$(find src sql Cargo.toml Cargo.lock -newer "$target/release/runabout" | head -n 1)" ]; then
	binary=$target/release/runabout
else
	echo "No release binary that is up to date: building for debugging, which is quicker to build and slower to run."
	cargo build --locked
	binary=$target/debug/runabout
fi
command -v jq >/dev/null || fail "jq is needed; tests/setup jq installs it"

runabout() { "$binary" --state-dir "$dir/state" "$@"; }

# Sets $daemon and $url: what it prints on standard output is its address, once it can serve.
start_daemon() {
	: >"$dir/address"
	"$binary" serve --state-dir "$dir/state" --listen 127.0.0.1:0 >"$dir/address" 2>>"$dir/daemon.log" &
	daemon=$!
	tries=100
	until grep -q '^listening on ' "$dir/address"; do
		kill -0 "$daemon" 2>/dev/null || fail "the daemon did not start"
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || fail "the daemon did not say within ten seconds that it listens"
		sleep 0.1
	done
	url=$(sed 's/^listening on //' "$dir/address")
}

stop_daemon() {
	kill -TERM "$daemon"
	wait "$daemon" || fail "the daemon exited with $? when it was asked to stop"
	daemon=''
}

# One event a line, as `logs --json` prints it; shown to people with its number.
show() {
	jq -r 'if .type == "gap" then "  gap from \(.from) to \(.to)"
		elif .kind == "output" then "  \(.seq)\t\(.data.stream)\t\(.data.text | rtrimstr("\n") | split("\n") | join("\n\t\t"))"
		else "  \(.seq)\t(\(.kind))" end'
}

step "1. A daemon on scratch state, on a free port"
start_daemon
echo "  listening on $url, process $daemon, state in $dir/state"

step "2. Submit a command: it counts primes for some seconds and prints on both streams"
cat >"$dir/primes.sh" <<'COMMAND'
# Whatever it prints it also writes to a file, so that the two can be compared.
out() { printf '%s\n' "$*" && printf '%s\n' "$*" >&3; }
err() { printf '%s\n' "$*" >&2 && printf '%s\n' "$*" >&4; }
exec 3>"$1/stdout" 4>"$1/stderr"
end=$(($(date +%s) + 8)) from=0 found=0 blocks=0
while [ "$(date +%s)" -lt "$end" ]; do
	to=$((from + 2000))
	found=$(awk -v from="$from" -v to="$to" -v found="$found" 'BEGIN {
		for (n = from; n < to; n++) {
			prime = n > 1
			for (d = 2; prime && d * d <= n; d++) prime = n % d
			if (prime) found++
		}
		print found
	}')
	out "$found primes below $to"
	blocks=$((blocks + 1)) from=$to
	[ $((blocks % 10)) -ne 0 ] || err "block $blocks done, checksum $(cksum <"$1/stdout")"
done
out "done – $blocks blocks"
COMMAND
run=$(runabout add --name primes -- sh "$dir/primes.sh" "$dir")
echo "  run $run is queued, and on the disk: \`runabout add\` prints its number only then"

step "3. Follow it live: \`runabout logs -f --json $run\`, killed after 12 events"
mkfifo "$dir/pipe"
"$binary" --state-dir "$dir/state" logs -f --json "$run" >"$dir/pipe" &
follower=$!
seen=0
while IFS= read -r event; do
	printf '%s\n' "$event" >>"$dir/events"
	printf '%s\n' "$event" | show
	seen=$((seen + 1))
	[ "$seen" -lt 12 ] || break
done <"$dir/pipe"
kill -KILL "$follower" 2>/dev/null || fail "the follower ended before it was killed"
wait "$follower" 2>/dev/null || true
follower=''
last=$(tail -n 1 "$dir/events" | jq .seq)
status=$(runabout show --json "$run" | jq -r .status)
[ "$status" = running ] || fail "run $run should not feel it that its reader is gone, but is $status"
echo "  the reader is dead; the last event it had is number $last. The run goes on."

step "4. Nobody reads for two seconds, and the command prints on"
curl -sSf --unix-socket "$dir/state/runabout.sock" "http://localhost/v1/runs/$run?wait_s=2" >"$dir/run.json"
newest=$(jq .last_seq "$dir/run.json")
[ "$newest" -gt "$last" ] || fail "no event was recorded while nobody read"
echo "  the newest event is number $newest now, so $((newest - last)) happened meanwhile"

step "5. Resume: \`runabout logs -f --json --after $last $run\`"
runabout logs -f --json --after "$last" "$run" >"$dir/resumed"
show <"$dir/resumed" | head -n 5
echo "  … $(($(wc -l <"$dir/resumed") - 5)) more, to the end of the run"
cat "$dir/resumed" >>"$dir/events"

step "6. Is anything missing, is anything doubled?"
total=$(wc -l <"$dir/events")
jq -n -e '[inputs.seq] == [range(1; $total + 1)]' --argjson total "$total" "$dir/events" >/dev/null ||
	fail "the numbers of the events are not 1 to $total, each once"
echo "  the two readers got the events 1 to $total, each once, in order"
for stream in stdout stderr; do
	jq -j --arg stream "$stream" 'select(.kind == "output" and .data.stream == $stream) | .data.text' \
		"$dir/events" >"$dir/$stream.read"
	cmp "$dir/$stream" "$dir/$stream.read" || fail "what was read of $stream is not what the command wrote"
	echo "  $stream: $(wc -c <"$dir/$stream.read") bytes, the same as the command wrote to a file"
done

step "7. What the daemon remembers: \`runabout ls\`, \`runabout show $run\`"
runabout ls | cut -c 1-100 | sed 's/^/  /'
runabout show "$run" | sed 's/^/  /'
runabout wait "$run" || fail "run $run should have succeeded"

step "8. Stop it with SIGTERM, start it again: everything is still there"
stop_daemon
echo "  stopped, exit 0"
start_daemon
runabout logs --json "$run" >"$dir/again"
cmp "$dir/events" "$dir/again" || fail "after a restart the events are not the same"
echo "  started again on $url: the same $total events"
stop_daemon
echo "  stopped, exit 0"

step "All as promised."
