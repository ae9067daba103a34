#!/bin/sh
# systemd 252 (systemd-analyze of Debian 12), Linux, with tzdata.
#
# Guess: a calendar of every half hour, as a timer has it, elapses each half hour also while the clock shows an hour twice.
#
# Seen: it passes the second hour over. In the night in which Berlin's clock goes back from three to two, `*:0/30` elapses at
# 02:00 and 02:30 of summer time and then at 03:00 of winter time, which is an hour and a half later. A timer that has to be
# there every half hour says OnUnitActiveSec=30min, or names UTC.
#
# Output: "00:00 00:30 02:00", in UTC.
set -eu
seen=$(TZ=Europe/Berlin systemd-analyze calendar --base-time='2024-10-27 01:45' --iterations=3 '*:0/30' |
	sed -n 's/.*(in UTC): Sun 2024-10-27 \(..:..\):00 UTC.*/\1/p' | tr '\n' ' ')
echo "${seen% }"
[ "${seen% }" = "00:00 00:30 02:00" ]
