# Two commands: `make run` starts the product with simulated applications, `make test` runs every check and test.
# `make help` lists the rest.

CARGO ?= cargo
# A build cache outside the checkout can be shared by clones: CARGO_TARGET_DIR=~/.cache/devlogs/target make test
export CARGO_TARGET_DIR ?= $(CURDIR)/target
DEVLOGS = $(CARGO_TARGET_DIR)/release/devlogs

.PHONY: help run build web test lint generate crash cuts fuzz bench clean

help: ## List the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

run: build ## Build everything and start with --dev --demo
	$(DEVLOGS) serve --dev --demo

build: web ## Build the binary with the dashboard in it
	# --examples (there are none) makes cargo choose the dependencies' features as for the tests: else most would be built again.
	$(CARGO) build --release --locked --workspace --bins --examples

# The stamp, not the page: the server's build makes a page of its own where none is built.
web: web/node_modules/.built

web/node_modules/.built: web/node_modules/.package-lock.json $(shell find web/src web/index.html web/public -type f 2>/dev/null)
	cd web && npm run build
	touch $@

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	# Not `npm ci`: it insists on optional packages of every platform, which not every registry has.
	cd web && npm install --no-save --no-audit --no-fund
	touch $@

test: ## Every check and test; installs what they need
	scripts/test

lint: ## Formatting and lints only
	scripts/test lint

generate: web/node_modules/.package-lock.json ## Write the generated files again
	scripts/test generate

crash: build ## The long crash run: random SIGKILLs under load until you stop it
	DEVLOGS_CRASH_ROUNDS=1000 scripts/test crash

cuts: build ## The long run of network cuts between each pair of a fleet
	DEVLOGS_CUT_ROUNDS=40 scripts/test cuts

# Empty: all of them, listed in scripts/fuzz.
TARGET ?=
SECONDS_EACH ?= 60

fuzz: ## Fuzz the decoders of untrusted bytes; TARGET=query SECONDS_EACH=600 for one of them and longer
	SECONDS_EACH=$(SECONDS_EACH) scripts/fuzz $(TARGET)

bench: build ## Measure ingest and queries; BENCH=--quick for minutes, BENCH=fleet for queues and stores; tables in bench-results/
	$(CARGO_TARGET_DIR)/release/devlogs-bench --program $(DEVLOGS) $(BENCH)

clean: ## Remove what was built
	rm -rf web/dist web/node_modules $(CURDIR)/target
