#!/bin/sh
# A WebSocket with websocat, which prints a message a line.
set -eu

seen=$(mktemp)
trap 'rm -f "$seen" "$seen".*' EXIT
trap 'exit 143' TERM
echo 0 >"$seen"
case $STREAM_URL in *\?*) joint='&' ;; *) joint='?' ;; esac
while :; do
	{
		websocat -t -n -H="Authorization: Bearer $STREAM_TOKEN" "$STREAM_URL${joint}after=$(cat "$seen")" 2>"$seen.error" ||
			cp "$seen.error" "$seen.again"
	} | while IFS= read -r line; do
		case $line in
		'{"type":"event",'*) number=${line#*\"$STREAM_NUMBER\":} && echo "${number%%,*}" >"$seen" ;;
		'{"type":"end",'*) echo end >"$seen" ;;
		esac
		printf '= %s\n' "$line"
	done
	[ "$(cat "$seen")" != end ] || exit 0
	echo "! again: $(tr '\n' ' ' <"$seen.again" 2>/dev/null || echo 'websocat exits 0')"
	rm -f "$seen.again"
	sleep 1
done
