# `make` says what there is. cargo is all it takes; on Debian, `demo` and `test` install the rest by themselves.

CARGO ?= cargo
PREFIX ?= /usr/local
SCRATCH ?= .scratch
FUZZ_S ?= 300
FUZZER_S ?= 60
BARE ?= /var/tmp/runabout-bare
TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release/runabout
CLIENT := $(TARGET)/client/client/runabout
CLIENT_BYTES_MAX := 2750000
# Relocations are packed, which glibc reads since 2.36 (Debian 12): 40 kB. Tables for unwinding, which nothing does, are left
# out: 400 kB. What the compiler finds twice in the machine code becomes a function: 70 kB.
ifeq ($(shell uname -s),Linux)
CLIENT_LINK := -- -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--no-eh-frame-hdr \
	-C link-arg=-Wl,-T,$(CURDIR)/dist/client.ld -C llvm-args=-enable-machine-outliner=always
endif
# Where Cargo.toml's list of the package's files has it.
MANUAL := target/manual
DEB = $(TARGET)/dist/runabout_$(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -1)_$(shell dpkg --print-architecture).deb
ARCH := $(shell uname -m)
# Tests wait for more than half of their time, for processes, clocks and flushes: one more at once than there are processors.
export RUST_TEST_THREADS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

.DEFAULT_GOAL := help
.PHONY: help demo pictures run test check lint client bridge fleet-demo fuzz fuzzers peers clients bench build install uninstall deb dist cross bare machine torture plants clean

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1~\2/p' $(MAKEFILE_LIST) | awk -F'~' '{ printf "%-14s  %s\n", $$1, $$2 }'

demo: ## Show it at work: follow a run, lose the connection, resume, prove that nothing is missing
	@tests/setup cargo cc curl jq
	@examples/demo.sh

pictures: ## Take the pictures of the README anew, from the real thing: docs/terminal.svg, docs/page.png
	@tests/setup cargo cc browser page
	$(CARGO) build --locked
	@examples/pictures/take

run: ## Start a daemon on scratch state in ./.scratch, on a free port (SCRATCH=DIR for another place)
	@echo 'talk to it with: $(TARGET)/debug/runabout --state-dir $(SCRATCH) run -- echo hello'
	$(CARGO) run --locked -- serve --state-dir '$(SCRATCH)' --listen 127.0.0.1:0

test: ## Run all tests
	@tests/setup cargo cc curl jq browser engines strace terminals page
	$(CARGO) test --locked

check: ## Do what CI does: format, lints, tests, documentation, Rust 1.85, the client alone, a minute of fuzz
	@tests/setup cargo cc curl jq cargo-fmt cargo-clippy browser engines strace terminals page
	$(CARGO) fmt --check
	@tests/lint
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --features client -- -D warnings
	$(CARGO) test --locked
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps
	@tests/oldest
	@tests/portable
	@tests/advisories
	@tests/fuzz/run --brief 60

lint: ## Lint the web page's JavaScript, with the eslint of its lock file
	@tests/setup page
	@tests/lint

client: ## Build the client alone, without a daemon, in at most 2.75 MB: target/client/client/runabout
	@tests/setup cargo cc
	$(CARGO) rustc --locked --profile client --bin runabout --no-default-features --features client,tls \
		--target-dir $(TARGET)/client $(CLIENT_LINK)
	@bytes=$$(wc -c <$(CLIENT)); echo "$(CLIENT): $$bytes bytes of at most $(CLIENT_BYTES_MAX)"; \
		[ "$$bytes" -le $(CLIENT_BYTES_MAX) ]

# A package by itself, with a compiler and dependencies of its own: what CI does is as fast without it. Some of its tests have
# a long form, by these; of a hub that is older Debian's package is one.
BRIDGE := NATS_SERVER='$(or $(NATS_SERVER),$(CURDIR)/target/peers/bin/nats-server)' RUNABOUT='$(or $(RUNABOUT),$(abspath $(TARGET))/debug/runabout)'
ifdef LONG
BRIDGE += CHAOS_ROUNDS=100 CLUSTER_ROUNDS=12 MANY_BOXES=20 MANY_RUNS=2000 MANY_ACK_WAIT_S=60 RATE_EVENTS=20000 RATE_ROUNDS=5 IDLE_S=120
BRIDGE_TEST := -- --test-threads=1 --nocapture
endif
bridge: ## Build the bridge to a hub, lint it, and try it: kills, cut links, a hub restored from an old copy (LONG=1: for long)
	@tests/setup cargo cc cargo-fmt cargo-clippy nats strace mosquitto openssl
	$(CARGO) build --locked
	cd src/bridge && $(CARGO) fmt --check
	cd src/bridge && $(CARGO) clippy --locked --all-targets -- -D warnings
	cd src/bridge && $(BRIDGE) $(CARGO) test --locked $(BRIDGE_TEST)

fleet-demo: ## Show three boxes and a hub at work: kill one, cut another off, prove that nothing is missing or double
	@tests/setup cargo cc curl jq nats
	$(CARGO) build --locked
	cd src/bridge && $(CARGO) build --locked
	@examples/fleet/demo.sh

fuzz: ## Attack a daemon by its own reference with schemathesis (FUZZ_S=300 seconds); executes nothing of it
	@tests/setup cargo cc
	$(CARGO) build --locked
	@tests/fuzz/run $(FUZZ_S)

fuzzers: ## Fuzz what reads bytes from outside with libFuzzer, FUZZER_S=60 seconds for each of six targets
	@tests/setup cargo cc c++
	@tests/fuzz/targets/run $(FUZZER_S)

clients: ## Try it with programs of others: generated clients, readers of streams (CLIENTS='generated streams' for parts)
	@tests/setup cargo cc
	$(CARGO) build --locked
	@tests/clients/run $(CLIENTS)

peers: ## Run the real Litestream beside a daemon: kills, stops, a prune, a restore; needs the network
	@tests/setup cargo cc
	$(CARGO) build --locked
	@tests/peers/litestream

# The build of its own and its peers in turns; `tests/setup bench-peers` installs those that can be had.
bench: ## Measure it beside its peers (BENCH='fan_out submits' for parts, BENCH_AGAINST=BINARY for another build too)
	@tests/setup cargo cc
	$(CARGO) build --locked --release
	$(CARGO) build --locked --release --example bench
	$(TARGET)/release/examples/bench $(BENCH)

build: $(RELEASE) ## Build the release binary: small, stripped, a few minutes

$(RELEASE): Cargo.toml Cargo.lock $(wildcard .cargo/config.toml) build.rs $(shell find build src sql -type f)
	@tests/setup cargo cc
	$(CARGO) build --locked --release
	@touch $@

# After `make build`, `sudo make install` needs no cargo.
install: $(RELEASE) ## Install it in PREFIX (/usr/local), with units, manual and completions
	@dist/manual $(RELEASE) $(MANUAL)
	@dist/stage $(RELEASE) $(MANUAL) $(TARGET)/stage
	@DESTDIR='$(DESTDIR)' $(TARGET)/stage/install '$(PREFIX)'

uninstall: ## Take away what `make install` has put in PREFIX; state and configuration stay
	@DESTDIR='$(DESTDIR)' dist/install --remove '$(PREFIX)'

deb: $(RELEASE) ## Make a Debian package in target/dist
	@tests/setup cargo-deb
	@dist/manual $(RELEASE) $(MANUAL)
	@mkdir -p $(TARGET)/dist
	$(TARGET)/tools/bin/cargo-deb deb --no-build --no-strip --quiet --output $(DEB)
	@ls -l $(DEB)

dist: ## Make a static binary for this kind of processor and its tarball in target/dist
	@tests/setup cargo cc
	@dist/build $(ARCH)-unknown-linux-musl

# Any 64-bit ARM, and every 32-bit Raspberry Pi. What cannot be built says why and does not keep the others.
cross: $(RELEASE) ## The same for 64-bit ARM and for every 32-bit Raspberry Pi, tried under qemu-user
	@failed=0; for target in aarch64-unknown-linux-musl arm-unknown-linux-musleabihf; do \
		dist/build $$target $(RELEASE) || failed=$$?; done; exit $$failed

bare: ## Try all that README and docs say in a new Debian 13 with systemd (as root; BARE=DIR keeps it for the next time)
	@tests/bare/run '$(BARE)'

# Plain emulation will do; MACHINE_ACCEL=kvm is faster where the processor may. It needs root, for what debootstrap does.
machine: ## Try it in a whole Debian 12 and 13 under qemu, as root (MACHINE='package power' for parts, SUITES=trixie for one)
	@tests/setup cargo cc machine cargo-deb
	$(CARGO) build --locked
	@tests/machine/package
	@tests/machine/all $(MACHINE)

# MINUTES is for all parts together; the figures in docs/proof.md come from an hour. SEED and ROUND repeat what failed.
TORTURE = $(CARGO) test --quiet --locked --test torture --
torture: ## Hold it to its promises under kills, power cuts, faults, want (MINUTES=2, HOURS=, SEED=, PARTS='kill power', ROUND=)
	@tests/setup cargo cc strace
	$(TORTURE) $(if $(HOURS),--hours $(HOURS),--minutes $(or $(MINUTES),2)) $(if $(SEED),--seed $(SEED)) \
		$(if $(ROUND),--round $(ROUND)) $(PARTS)

plants: ## Plant faults into a copy of the sources, and see that the torture finds each (PLANTS='seq leak' for some)
	@tests/setup cargo cc strace
	@tests/torture/plants/run $(PLANTS)

clean: ## Remove what was built, and the scratch state
	$(CARGO) clean
	rm -rf .scratch
