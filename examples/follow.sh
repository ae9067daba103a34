#!/bin/sh
# Follows a run's output with curl and jq, live: what it printed, byte for byte, on the stream it printed it on.
#
#   follow.sh RUN [AFTER]          AFTER: the number of the last event that is known already; 0 unless given
#
# One request stays open and gets one JSON object a line. Each event has a number, and the request says after which one
# to start, so after any failure it goes on where it was: a lost connection, a restart of the daemon, or its own end,
# when it says how to go on. `end` is the last object: without it there is more to come. A heartbeat comes every 15 s, so
# that curl gives up on a connection that says nothing for 60.
#
# RUNABOUT_URL, RUNABOUT_TOKEN and RUNABOUT_STATE_DIR say where the daemon is, as for submit-and-wait.sh.
set -eu

[ $# -ge 1 ] || {
	echo "usage: follow.sh RUN [AFTER]" >&2
	exit 2
}
run=$1

if [ "$(id -u)" -eq 0 ]; then default=/var/lib/runabout; else default=${XDG_STATE_HOME:-$HOME/.local/state}/runabout; fi
[ -S "$default/runabout.sock" ] || [ ! -S /run/runabout/runabout.sock ] || default=/run/runabout
url=${RUNABOUT_URL:-unix:${RUNABOUT_STATE_DIR:-$default}/runabout.sock}

# stream PATH: one object a line, or a refusal. A token travels by curl's standard input, for `ps` shows arguments to
# everybody.
stream() {
	{
		echo 'header = "Accept: application/x-ndjson"'
		case $url in
		unix:*) printf 'unix-socket = "%s"\nurl = "http://localhost%s"\n' "${url#unix:}" "$1" ;;
		*) printf 'header = "Authorization: Bearer %s"\nurl = "%s"\n' "${RUNABOUT_TOKEN-}" "$url$1" ;;
		esac
	} | curl -sSN --speed-time 60 -K -
}

# The number of the last event that was printed, and how it ended once it has.
seen=$(mktemp)
echo "${2:-0}" >"$seen"
leave() {
	code=$?
	[ "$code" -eq 0 ] || echo "follow: to go on: $0 $run $(head -n 1 "$seen")" >&2
	rm -f "$seen"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# From each object a line: SEQ and what it is; output as its stream and base64, since a shell variable holds no NUL byte.
# shellcheck disable=SC2016 # it is jq's language
lines='if .code then "0 refused \(.status) \(.detail)"
	elif .kind == "output" then "\(.seq) \(.data.stream) \(.data.base64 // (.data.text | @base64))"
	elif .type == "event" then "\(.seq) event"
	elif .type == "gap" then "\(.to) gap \(.from) \(.reason)"
	elif .type == "end" then "\(.last_seq) end \(.status)"
	else empty end'

while :; do
	stream "/v1/runs/$run/events?follow=true&after=$(head -n 1 "$seen")" | jq --unbuffered -r "$lines" |
		while read -r seq what rest; do
			case $what in
			stdout) printf %s "$rest" | base64 -d ;;
			stderr) printf %s "$rest" | base64 -d >&2 ;;
			gap) echo "follow: the events ${rest% *} to $seq are gone: ${rest#* }" >&2 ;;
			end) printf '%s\n%s\n' "$seq" "$rest" >"$seen" && break ;;
			refused)
				echo "follow: $rest" >&2
				# What the daemon cannot do now it may do later; what it will not do stays so.
				case $rest in 5* | 429*) ;; *) echo refused >>"$seen" ;; esac
				break
				;;
			esac
			echo "$seq" >"$seen"
		done || true
	case $(sed -n 2p "$seen") in
	'') sleep 1 ;;
	refused) exit 1 ;;
	*) break ;;
	esac
done
echo "follow: run $run $(sed -n 2p "$seen"), $(head -n 1 "$seen") events" >&2
