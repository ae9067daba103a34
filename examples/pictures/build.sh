#!/bin/sh
# Prints what a build does.
for part in wire store feed http cli; do
	printf '   \033[32mCompiling\033[m %s\n' "$part"
	sleep 0.1
done
printf '    \033[32mFinished\033[m in 0.5 s\n'
