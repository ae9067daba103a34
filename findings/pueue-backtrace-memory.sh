#!/bin/sh
# RUST_BACKTRACE in pueued's environment costs it tens of megabytes from its first client on, though nothing fails.
#
# pueue 4.0.2. With RUST_BACKTRACE=1, as many have it in their shell, `pueue status` takes the resident memory of its daemon
# from 6 to 42 MiB, where it stays: a client that has its answer closes the connection, the daemon takes that end for an
# error with a backtrace, and a backtrace is given its names by a map of the daemon's own binary, which is kept. Without the
# variable, or with RUST_LIB_BACKTRACE=0 beside it, the same client costs it less than one.
#
# Guess: a variable that has backtraces shown costs nothing until something fails.
# Seen:
#   RUST_BACKTRACE=1: a client costs more than 15 MiB
#   without: a client costs less than 2 MiB
#   RUST_BACKTRACE=1 RUST_LIB_BACKTRACE=0: a client costs less than 2 MiB
set -eu

dir=$(mktemp -d)
daemon=
trap 'if [ -n "$daemon" ]; then kill "$daemon"; fi; rm -rf "$dir"' EXIT
# Built fast; it is the same with a release as its makers have it, which takes minutes.
CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	cargo install --quiet --locked --root "$dir" pueue@4.0.2
cat >"$dir/pueue.yml" <<YML
shared: {pueue_directory: '$dir/state', runtime_directory: '$dir/state', use_unix_socket: true}
client: {}
daemon: {}
YML
mkdir "$dir/state"
pueue() { env -u RUST_BACKTRACE "$dir/bin/pueue" -c "$dir/pueue.yml" "$@"; }
resident_kib() { awk '/^Rss:/ { print $2 }' "/proc/$daemon/smaps_rollup"; }

# What a daemon with this environment holds more after a client than before: `client NAME VARIABLE=VALUE…`
client() {
	name=$1
	shift
	env -u RUST_BACKTRACE -u RUST_LIB_BACKTRACE "$@" "$dir/bin/pueued" -c "$dir/pueue.yml" >"$dir/log" 2>&1 &
	daemon=$!
	tries=0
	until [ -S "$(echo "$dir"/state/*.socket)" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ]
		sleep 0.1
	done
	sleep 1
	before=$(resident_kib)
	pueue status >"$dir/status"
	sleep 1
	more=$((($(resident_kib) - before) / 1024))
	kill "$daemon"
	wait "$daemon" || true
	daemon=
	rm -rf "$dir/state"
	mkdir "$dir/state"
	if [ "$more" -lt 2 ]; then
		echo "$name: a client costs less than 2 MiB"
	elif [ "$more" -gt 15 ]; then
		echo "$name: a client costs more than 15 MiB"
	else
		echo "$name: a client costs $more MiB"
	fi
}

{
	client RUST_BACKTRACE=1 RUST_BACKTRACE=1
	client without
	client 'RUST_BACKTRACE=1 RUST_LIB_BACKTRACE=0' RUST_BACKTRACE=1 RUST_LIB_BACKTRACE=0
} >"$dir/seen"
cat "$dir/seen"
cat >"$dir/expected" <<'TEXT'
RUST_BACKTRACE=1: a client costs more than 15 MiB
without: a client costs less than 2 MiB
RUST_BACKTRACE=1 RUST_LIB_BACKTRACE=0: a client costs less than 2 MiB
TEXT
diff "$dir/expected" "$dir/seen"
