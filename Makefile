# Fairlead. `make` alone prints what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# grpcnotrace keeps golang.org/x/net/trace out, and with it 3 MB of templates.
TAGS := grpcnotrace
LDFLAGS := -s -w -X main.version=$(VERSION)
GOBUILD := CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)'
GOLANGCI := go tool -modfile=.tools/golangci/go.mod golangci-lint
BUF := go tool -modfile=.tools/buf/go.mod buf
UI := hub/ui/web
UI_SOURCES := $(shell find $(UI) -type f -not -path '*/node_modules/*' 2>/dev/null)
UI_MODULES := $(UI)/node_modules/.package-lock.json

.PHONY: help demo build ui test test-faults test-deps lint verify generate model histories faults test-archive bench fmt tidy clean check-go check-node

help: ## Print this help
	@echo "Fairlead $(VERSION)"; echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo; echo "Start with 'make demo'."

check-go:
	@found=$$(go env GOVERSION 2>/dev/null || true); \
	minor=$$(echo "$$found" | sed -nE 's/^go1\.([0-9]+).*/\1/p'); \
	if [ -z "$$minor" ] || [ "$$minor" -lt 26 ]; then \
	  echo "Fairlead needs Go 1.26 or later; found: $${found:-none}." >&2; \
	  echo "The distributions' own is older: take it from https://go.dev/dl/ and put its bin folder first in PATH." >&2; exit 1; fi

check-node:
	@found=$$(node --version 2>/dev/null || true); \
	if ! echo "$$found" | awk -F'[v.]' '{exit !($$2 > 20 || $$2 == 20 && $$3 >= 19)}'; then \
	  echo "Fairlead needs Node 20.19 or later to build its web front end; found: $${found:-none}." >&2; \
	  echo "The distributions' own is older: take it from https://nodejs.org/en/download and put its bin folder first in PATH." >&2; exit 1; fi

demo: check-go check-node ## Build all, start hub, runner and three nodes, run a job (ONCE=1: end after it, with its exit status; KILL=1: kill the hub in its middle)
	@echo Building; printf '  %-34s' demo; start=$${EPOCHREALTIME/,/.}; \
	CGO_ENABLED=0 go build -trimpath -o bin/fairlead-demo ./e2e/demo; \
	awk -v a="$$start" -v b="$${EPOCHREALTIME/,/.}" 'BEGIN {printf "%5.1f s\n", b - a}'; \
	exec bin/fairlead-demo -version '$(VERSION)' $(if $(ONCE),-once) $(if $(KILL),-kill)

build: check-go ui ## Build bin/fairlead-hub, bin/fairlead-runner and bin/fairlead
	@mkdir -p bin
	$(GOBUILD) -o bin/ ./hub/cmd/fairlead-hub ./runner/cmd/fairlead-runner ./sdk/cmd/fairlead

ui: hub/ui/dist/index.html ## Build the web front end into hub/ui/dist

hub/ui/dist/index.html: $(UI_SOURCES) $(UI_MODULES) | check-node
	cd $(UI) && npm run --silent build

# npm ci empties the folder first: once for each change of the lock file is enough.
$(UI_MODULES): $(UI)/package-lock.json | check-node
	cd $(UI) && npm ci --no-audit --no-fund
	@touch $@

test: check-go check-node ## Run the tests, with the race detector (under 10 minutes)
	@.ci/test

test-faults: check-go ui ## Kill, cut off, fill and set back the real programs: each fault of the protocol once (under 5 minutes)
	@.ci/test-faults

test-deps: ## Install what the tests need (Debian and Ubuntu; needs root or sudo)
	@.ci/test-deps

lint: check-go $(UI_MODULES) ## Run the linters, and prove that each architecture rule fires
	$(GOLANGCI) run ./...
	$(BUF) lint
	go test ./e2e/lintrules
	cd $(UI) && npm run --silent check && npm run --silent generate -- --check

verify: check-go check-node ## Check that generated code is fresh, modules are tidy and the contract breaks no older runner
	@.ci/verify

generate: check-go $(UI_MODULES) ## Regenerate the contract's Go, openapi.json and the clients made from it
	$(BUF) generate
	go generate ./hub/api/... ./sdk/...
	cd $(UI) && npm run --silent generate

model: check-go ## Explore the large configurations of the protocol's models (some minutes, 5 GB)
	go test ./proto/model -count 1 -timeout 60m -v -args -big

histories: check-go ## Run 20,000 histories of the simulation, and 5,000 with two primaries, with seeds of the day (some minutes)
	go test -tags $(TAGS),failpoints ./e2e/sim -count 1 -timeout 60m -v -run 'TestHistories|TestTwoPrimaries' -args -histories 20000 -first $$(date +%Y%m%d)00000

faults: check-go ## Kill members of a cluster 200 times during 1,000 steps, and 100 leaders while 20 jobs fire each second (two hours)
	go test -tags $(TAGS),failpoints ./e2e/faults -count 1 -timeout 90m -v -run TestMembersKilledAtRandom -args -kills 200 -steps 1000
	go test -tags $(TAGS),failpoints ./e2e/faults -count 1 -timeout 60m -v -run TestLeaderKilledWhileSchedulesFire -args -takeovers 100 -scheduled 20

test-archive: check-go check-node ## Run the archive's tests against an Azure Blob server too (installs it)
	cd .tools/azurite && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
	go test -tags $(TAGS),azurite ./hub/archive

bench: build ## Measure the figures, side by side with their limits
	go run ./e2e/bench

fmt: check-go ## Format Go and protobuf sources
	$(GOLANGCI) fmt ./...
	$(BUF) format -w

tidy: check-go ## Tidy the module files
	go mod tidy

clean: ## Remove what was built
	rm -rf bin .demo hub/ui/dist/assets hub/ui/dist/index.html $(UI)/node_modules
