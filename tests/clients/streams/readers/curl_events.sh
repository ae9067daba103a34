#!/bin/sh
# Server-sent events with curl. An event is whole at its empty line; only then is its `id` remembered. 204: all was told.
set -eu

seen=$(mktemp)
trap 'rm -f "$seen" "$seen".*' EXIT
trap 'exit 143' TERM
case $STREAM_URL in *\?*) joint='&' ;; *) joint='?' ;; esac
while :; do
	set -- -H 'Accept: text/event-stream' -H "Authorization: Bearer $STREAM_TOKEN"
	[ ! -s "$seen" ] || set -- "$@" -H "Last-Event-ID: $(cat "$seen")"
	{
		curl -sSfN --speed-limit 1 --speed-time 40 -D "$seen.head" "$@" "$STREAM_URL${joint}after=0" 2>"$seen.error" ||
			cp "$seen.error" "$seen.again"
	} | {
		id='' data=''
		while IFS= read -r line; do
			case $line in
			'id: '*) id=${line#id: } ;;
			'data: '*) data=${line#data: } ;;
			'')
				[ -z "$data" ] || printf '= %s\n' "$data"
				[ -z "$id" ] || echo "$id" >"$seen"
				id='' data=''
				;;
			esac
		done
	}
	case $(head -n 1 "$seen.head" 2>/dev/null) in
	*' 204'*) exit 0 ;;
	esac
	echo "! again: $(cat "$seen.again" 2>/dev/null || echo 'curl exits 0')"
	rm -f "$seen.again" "$seen.head"
	sleep 1
done
