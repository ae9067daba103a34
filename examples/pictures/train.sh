#!/bin/sh
# Prints what a training does, and says how far it is.
for epoch in $(seq 1 40); do
	printf 'epoch %2d of 60  \033[36mloss %s\033[m  accuracy %s\n' "$epoch" \
		"$(awk "BEGIN { printf \"%.4f\", 2.3 / (1 + $epoch / 6) }")" \
		"$(awk "BEGIN { printf \"%.3f\", 1 - 0.9 / (1 + $epoch / 4) }")"
	sleep 0.03
	[ $((epoch % 10)) -ne 0 ] || printf '\033[33mlearning rate halved\033[m\n' >&2
done
runabout progress 66 'epoch 40 of 60'
exec sleep 60
