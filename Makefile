# `make` says what there is. cargo is all it takes; on Debian, `demo` and `test` install the rest by themselves.

CARGO ?= cargo
PREFIX ?= /usr/local
SCRATCH ?= .scratch
TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release/runabout
MANUAL := $(TARGET)/manual
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -1)
ARCH := $(shell uname -m)

.DEFAULT_GOAL := help
.PHONY: help demo run test check bench build install deb dist cross clean

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1~\2/p' $(MAKEFILE_LIST) | awk -F'~' '{ printf "%-14s  %s\n", $$1, $$2 }'

demo: ## Show it at work: follow a run, lose the connection, resume, prove that nothing is missing
	@tests/setup cargo cc curl jq
	@examples/demo.sh

run: ## Start a daemon on scratch state in ./.scratch, on a free port (SCRATCH=DIR for another place)
	@echo 'talk to it with: $(TARGET)/debug/runabout --state-dir $(SCRATCH) run -- echo hello'
	$(CARGO) run --locked -- serve --state-dir '$(SCRATCH)' --listen 127.0.0.1:0

test: ## Run all tests
	@tests/setup cargo cc browser
	$(CARGO) test --locked

check: ## Do what CI does: format, clippy, tests, documentation, warnings denied
	@tests/setup cargo cc cargo-fmt cargo-clippy browser
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps
	@tests/advisories

bench: ## Measure submits, runs, output and memory, next to what the machine can do
	@tests/setup cargo cc
	$(CARGO) build --locked --release
	$(CARGO) run --locked --release --example bench

build: $(RELEASE) $(MANUAL)/man/runabout.1 ## Build the release binary (small, stripped, a few minutes) and the manual

$(RELEASE): Cargo.toml Cargo.lock $(wildcard .cargo/config.toml) $(shell find src sql -type f)
	@tests/setup cargo cc
	$(CARGO) build --locked --release
	@touch $@

# From the definition of the command line and the README; on the machine that builds, whatever it builds for.
$(MANUAL)/man/runabout.1: Cargo.lock README.md examples/man.rs $(shell find src/client/args -type f)
	@tests/setup cargo cc
	@rm -rf $(MANUAL)
	$(CARGO) run --quiet --locked --release --example man -- $(MANUAL)

# After `make build`, `sudo make install` needs no cargo.
install: $(RELEASE) $(MANUAL)/man/runabout.1 ## Install it in PREFIX (/usr/local) with units, manual and completions
	@dist/stage $(RELEASE) $(MANUAL) $(TARGET)/stage
	@DESTDIR='$(DESTDIR)' $(TARGET)/stage/install '$(PREFIX)'

deb: $(RELEASE) $(MANUAL)/man/runabout.1 ## Make a Debian package in target/dist
	@tests/setup cargo-deb
	$(TARGET)/tools/bin/cargo-deb deb --no-build --no-strip --quiet --output $(TARGET)/dist/runabout_$(VERSION)_$$(dpkg --print-architecture).deb
	@ls -l $(TARGET)/dist/runabout_$(VERSION)_*.deb

dist: $(MANUAL)/man/runabout.1 ## Make a static binary for this kind of processor and its tarball in target/dist
	@dist/build $(ARCH)-unknown-linux-musl $(MANUAL)

# Any 64-bit ARM, and every 32-bit Raspberry Pi. What cannot be built says why and does not keep the others.
cross: $(MANUAL)/man/runabout.1 ## The same for 64-bit ARM and for every 32-bit Raspberry Pi, tried under qemu-user
	@failed=0; for target in aarch64-unknown-linux-musl arm-unknown-linux-musleabihf; do \
		dist/build $$target $(MANUAL) || failed=$$?; done; exit $$failed

clean: ## Remove what was built, and the scratch state
	$(CARGO) clean
	rm -rf .scratch
