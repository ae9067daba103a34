# What the picture of a terminal shows: each command as it is typed, and what it prints.
say() { printf '\033[32m$\033[m \033[1m%s\033[m\n' "$*"; }
say 'runabout run -- ./build.sh'
runabout run -- ./build.sh
say 'runabout add -n nightly -t 2h -- ./backup.sh'
runabout add -n nightly -t 2h -- ./backup.sh
runabout wait last
say 'runabout ls'
runabout ls
say 'runabout logs last'
runabout logs last
