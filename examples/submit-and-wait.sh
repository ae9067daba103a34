#!/bin/sh
# Submits a shell script to Runabout, waits for its end and exits as it did. It needs curl alone.
#
#   submit-and-wait.sh job.sh               or:  echo 'cd /srv && make' | submit-and-wait.sh
#   submit-and-wait.sh job.sh 'name=nightly&queue=default&timeout_s=3600'
#
# RUNABOUT_URL says where the daemon is: http://HOST:PORT with a session's token in RUNABOUT_TOKEN, or
# unix:/path/of/its/socket; without it, the socket in RUNABOUT_STATE_DIR, in the default state directory, or of
# the machine's service.
#
# Neither a lost connection nor a restart of the daemon makes it submit twice (the key sees to that) or give up: it
# asks again until there is an answer.
set -eu

script=${1:--} query=${2-}

if [ "$(id -u)" -eq 0 ]; then default=/var/lib/runabout; else default=${XDG_STATE_HOME:-$HOME/.local/state}/runabout; fi
[ -S "$default/runabout.sock" ] || [ ! -S /run/runabout/runabout.sock ] || default=/run/runabout
url=${RUNABOUT_URL:-unix:${RUNABOUT_STATE_DIR:-$default}/runabout.sock}

# api PATH [CURL OPTIONS]: the answer's body, then a line with the status. A token travels by curl's standard input,
# for `ps` shows arguments to everybody.
api() {
	path=$1
	shift
	set -- -sS -w '\n%{http_code}\n' "$@"
	case $url in
	unix:*) curl "$@" --unix-socket "${url#unix:}" "http://localhost$path" ;;
	*) printf 'header = "Authorization: Bearer %s"\n' "${RUNABOUT_TOKEN-}" | curl "$@" -K - "$url$path" ;;
	esac
}

# Sets $status and $body: the answer of `api`, asked for until there is one. 5xx is asked again too.
answer() {
	while :; do
		if reply=$(api "$@"); then
			status=$(printf '%s\n' "$reply" | tail -n 1)
			body=$(printf '%s\n' "$reply" | sed '$d')
			[ "$status" -ge 500 ] || return 0
		fi
		sleep 1
	done
}

refused() {
	echo "submit-and-wait: $status: $body" >&2
	exit 125
}

work=$(mktemp)
trap 'rm -f "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cat -- "$script" >"$work" || exit 125

answer "/v1/runs${query:+?$query}" --data-binary "@$work" \
	-H 'Content-Type: text/x-shellscript' -H 'Accept: text/plain' \
	-H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)"
[ "$status" -eq 201 ] || [ "$status" -eq 200 ] || refused
run=$body
echo "submit-and-wait: run $run" >&2

# 409 says that it has not ended after a minute: ask again. Waiting costs the daemon nothing.
while :; do
	answer "/v1/runs/$run/exit_code?wait_s=60"
	case $status in
	200) exit "$body" ;;
	409) ;;
	*) refused ;;
	esac
done
