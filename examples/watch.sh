#!/bin/sh
# Follows a run live by server-sent events with curl alone, and goes on where it was after whatever broke the connection.
#
#   watch.sh RUN                   prints each event's JSON on a line; with jq: watch.sh 42 | jq -j '.data.text // empty'
#
# The stream names its own place: an `id:` line after which the daemon goes on when it is sent back as `Last-Event-ID`.
# A 204 then says that the run has ended and that all of it was told.
#
# RUNABOUT_URL, RUNABOUT_TOKEN and RUNABOUT_STATE_DIR say where the daemon is, as for submit-and-wait.sh.
set -eu

[ $# -eq 1 ] || {
	echo "usage: watch.sh RUN" >&2
	exit 2
}
run=$1

if [ "$(id -u)" -eq 0 ]; then default=/var/lib/runabout; else default=${XDG_STATE_HOME:-$HOME/.local/state}/runabout; fi
[ -S "$default/runabout.sock" ] || [ ! -S /run/runabout/runabout.sock ] || default=/run/runabout
url=${RUNABOUT_URL:-unix:${RUNABOUT_STATE_DIR:-$default}/runabout.sock}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
: >"$work/id"

# stream [CURL OPTIONS]: the events after the last one seen. A heartbeat comes every 15 s: 40 without a byte mean that
# the other side is dead. A token travels by curl's standard input, for `ps` shows arguments to everybody.
stream() {
	set -- -sS -N --fail-with-body --speed-limit 1 --speed-time 40 -D "$work/head" -H 'Accept: text/event-stream' "$@"
	[ ! -s "$work/id" ] || set -- "$@" -H "Last-Event-ID: $(cat "$work/id")"
	case $url in
	unix:*) curl "$@" --unix-socket "${url#unix:}" "http://localhost/v1/runs/$run/events" ;;
	*) printf 'header = "Authorization: Bearer %s"\n' "${RUNABOUT_TOKEN-}" | curl "$@" -K - "$url/v1/runs/$run/events" ;;
	esac
}

# A block of lines ends with an empty one: only then was the event whole, and its id may be remembered.
while :; do
	: >"$work/head"
	stream | {
		id= data=
		while IFS= read -r line || [ -n "$line" ]; do
			case $line in
			'id: '*) id=${line#id: } ;;
			'data: '*) data=${line#data: } ;;
			'{'*) printf '%s\n' "$line" >&2 ;;
			'')
				[ -z "$data" ] || printf '%s\n' "$data"
				[ -z "$id" ] || printf '%s' "$id" >"$work/id"
				id= data=
				;;
			esac
		done
	} || exit 0
	case $(head -n 1 "$work/head") in
	*' 204 '* | *' 204'?) exit 0 ;;
	*' 4'??' '*) exit 1 ;;
	esac
	sleep 1
done
