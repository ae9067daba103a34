#!/bin/sh
# Cargo 1.95.0, Linux.
#
# Guess: an override of a profile for one package, as `[profile.release.package] tiny = { opt-level = 2 }`, changes what it
# names and nothing else, also where the package is the one that is built.
#
# Seen: it changes how the binary is stripped, too. With `strip = "symbols"` in the profile rustc is given `-C strip=symbols`;
# with an override that names the package of the binary, of whatever setting, it is given `-C strip=debuginfo`, and the table
# of symbols stays in: here a seventh of a program of ten megabytes. No warning. An override of `"*"`, or of another package,
# leaves it as it was. So the package's own setting belongs into the profile, and the override to all others.
#
# Output: "plain: symbols", "named: debuginfo", "all others: symbols".
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
echo 'fn main() {}' >src/main.rs

# What rustc is told to strip, with this at the end of the manifest.
told() {
	printf '%s\n' '[package]' 'name = "tiny"' 'version = "0.1.0"' 'edition = "2024"' \
		'[profile.release]' 'strip = "symbols"' "$@" >Cargo.toml
	rm -rf target
	cargo build --release -v 2>&1 | sed -n 's/.* -C strip=\([a-z]*\).*/\1/p'
}

cargo --version
seen="plain: $(told)
named: $(told '[profile.release.package]' 'tiny = { opt-level = 2 }')
all others: $(told '[profile.release.package]' '"*" = { opt-level = 2 }')"
echo "$seen"
[ "$seen" = "plain: symbols
named: debuginfo
all others: symbols" ]
