# `make` says what there is. cargo is all it takes; on Debian, `demo` and `test` install the rest by themselves.

CARGO ?= cargo
PREFIX ?= /usr/local
SCRATCH ?= .scratch
FUZZ_S ?= 300
TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release/runabout

.DEFAULT_GOAL := help
.PHONY: help demo run test check fuzz bench build install clean

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

check: ## Do what CI does: format, clippy, tests, documentation, warnings denied, a minute of fuzz
	@tests/setup cargo cc cargo-fmt cargo-clippy browser
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps
	@tests/advisories
	@tests/fuzz/run --brief 60

fuzz: ## Attack a daemon by its own reference with schemathesis (FUZZ_S=300 seconds); executes nothing of it
	@tests/setup cargo cc
	$(CARGO) build --locked
	@tests/fuzz/run $(FUZZ_S)

bench: ## Measure submits, runs, output and memory, next to what the machine can do
	@tests/setup cargo cc
	$(CARGO) build --locked --release
	$(CARGO) run --locked --release --example bench

build: $(RELEASE) ## Build the release binary: small, stripped, a few minutes

$(RELEASE): Cargo.toml Cargo.lock $(wildcard .cargo/config.toml) $(shell find src sql -type f)
	@tests/setup cargo cc
	$(CARGO) build --locked --release
	@touch $@

# After `make build`, `sudo make install` needs no cargo.
install: $(RELEASE) ## Install it in PREFIX/bin (PREFIX=/usr/local)
	install -D -m 755 $(RELEASE) '$(DESTDIR)$(PREFIX)/bin/runabout'

clean: ## Remove what was built, and the scratch state
	$(CARGO) clean
	rm -rf .scratch
