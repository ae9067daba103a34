#!/bin/sh
# Linux 6.18, Python 3.
#
# Guess: `ru_maxrss`, by which getrusage(2) and wait4(2) tell a command's largest resident set (and so GNU `time -v`, Go's
# `ProcessState`, Python's `resource`), is the command's own.
#
# Seen: it is never less than what its parent had in memory when that started it. At an exec the kernel folds the memory that is
# left (`exec_mmap`, `setmax_mm_hiwater_rss`) into the figure of the process. After vfork and posix_spawn that is the parent's own
# memory, all of it; after fork a copy of it. So `true`, started by a program of 200 MB, has "used" 200 MB, and no parent can
# tell a small child from a middling one. A cgroup's `memory.peak` can.
#
# Output: `true` by a small parent: less than 50 MB; by a large one: more than 200 MB.
set -eu
measure='
import os, sys
ballast = bytearray(int(sys.argv[1]) << 20)
for at in range(0, len(ballast), 4096):
    ballast[at] = 1
pid = os.posix_spawn("/bin/true", ["true"], {})
_, _, used = os.wait4(pid, 0)
print(used.ru_maxrss // 1024)
'
small=$(python3 -c "$measure" 1)
large=$(python3 -c "$measure" 200)
echo "true, started by a small parent: $small MB; by a large one: $large MB"
[ "$small" -lt 50 ] && [ "$large" -gt 200 ]
