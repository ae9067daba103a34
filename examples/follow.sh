#!/bin/sh
# Follows a run's output by the page, with curl and jq: what it printed, byte for byte, on the stream it printed it on.
#
#   follow.sh RUN [AFTER]          AFTER: the number of the last event that is known already; 0 unless given
#
# Each page says what came after the last event seen, so after any failure it goes on where it was: a lost connection,
# a restart of the daemon, or its own end, when it says how to go on. While there is nothing new it does not poll: it
# asks for the run with `wait_s=1`, which is answered when the run ends or the second is over.
#
# RUNABOUT_URL, RUNABOUT_TOKEN and RUNABOUT_STATE_DIR say where the daemon is, as for submit-and-wait.sh.
set -eu

[ $# -ge 1 ] || {
	echo "usage: follow.sh RUN [AFTER]" >&2
	exit 2
}
run=$1 after=${2:-0}

if [ "$(id -u)" -eq 0 ]; then default=/var/lib/runabout; else default=${XDG_STATE_HOME:-$HOME/.local/state}/runabout; fi
url=${RUNABOUT_URL:-unix:${RUNABOUT_STATE_DIR:-$default}/runabout.sock}

# api PATH: the answer's JSON, also that of a refusal. A token travels by curl's standard input, for `ps` shows
# arguments to everybody.
api() {
	case $url in
	unix:*) curl -sS -m 30 --unix-socket "${url#unix:}" "http://localhost$1" ;;
	*) printf 'header = "Authorization: Bearer %s"\n' "${RUNABOUT_TOKEN-}" | curl -sS -m 30 -K - "$url$1" ;;
	esac
}

page=$(mktemp)
leave() {
	code=$?
	rm -f "$page"
	[ "$code" -eq 0 ] || echo "follow: to go on: $0 $run $after" >&2
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

while :; do
	if ! api "/v1/runs/$run/events?after=$after" >"$page"; then
		sleep 1
		continue
	fi
	if jq -e 'has("code")' "$page" >/dev/null; then
		jq -r '"follow: \(.status): \(.detail)"' "$page" >&2
		# What the daemon cannot do now it may do later; what it will not do stays so.
		jq -e '.status >= 500 or .status == 429' "$page" >/dev/null || exit 1
		sleep 1
		continue
	fi
	jq -r '.gaps[] | "follow: the events \(.from) to \(.to) are gone: \(.reason)"' "$page" >&2

	# SEQ STREAM BASE64 a line: a shell variable holds no NUL byte.
	before=$after
	while read -r seq stream text; do
		case $stream in
		stdout) printf %s "$text" | base64 -d ;;
		stderr) printf %s "$text" | base64 -d >&2 ;;
		esac
		after=${seq:-$after}
	done <<-EVENTS
		$(jq -r '.events[] | if .kind == "output" then "\(.seq) \(.data.stream) \(.data.base64 // (.data.text | @base64))"
			else "\(.seq) -" end' "$page")
	EVENTS

	# An empty page is the only sign of having them all.
	[ "$after" = "$before" ] || continue
	case $(jq -r .status "$page") in
	queued | running) api "/v1/runs/$run?wait_s=1" >/dev/null || sleep 1 ;;
	*) break ;;
	esac
done
jq -r '"follow: run '"$run"' \(.status), \(.last_seq) events"' "$page" >&2
