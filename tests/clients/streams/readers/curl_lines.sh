#!/bin/sh
# Lines of JSON with curl. `read` fails at a last line that has no end, so that what was cut is never taken.
set -eu

seen=$(mktemp)
trap 'rm -f "$seen" "$seen".*' EXIT
trap 'exit 143' TERM
echo 0 >"$seen"
case $STREAM_URL in *\?*) joint='&' ;; *) joint='?' ;; esac
while :; do
	{
		curl -sSfN --speed-limit 1 --speed-time 40 -H 'Accept: application/x-ndjson' -H "Authorization: Bearer $STREAM_TOKEN" \
			"$STREAM_URL${joint}after=$(cat "$seen")" 2>"$seen.error" || cp "$seen.error" "$seen.again"
	} | while IFS= read -r line; do
		case $line in
		'{"type":"event",'*) number=${line#*\"$STREAM_NUMBER\":} && echo "${number%%,*}" >"$seen" ;;
		'{"type":"end",'*) echo end >"$seen" ;;
		esac
		printf '= %s\n' "$line"
	done
	[ "$(cat "$seen")" != end ] || exit 0
	echo "! again: $(cat "$seen.again" 2>/dev/null || echo 'curl exits 0')"
	rm -f "$seen.again"
	sleep 1
done
