GO ?= go

.PHONY: build test check cross bench bench-peers soak fuzz proofs simulate demo pgo packages

# PGO is the profile that the compiler optimises the released binary with. Other builds do without: they
# would compile every package once more.
PGO := cmd/sluice/sluice.pgo

build: ## the standalone binary, stripped, in dist/
	CGO_ENABLED=0 $(GO) build -pgo=$(PGO) -trimpath -ldflags '-s -w' -o dist/sluice ./cmd/sluice

packages: ## .deb and .rpm for amd64 and arm64, in dist/; the same bytes from the same commit
	GO=$(GO) packaging/build.sh dist amd64 arm64

test: ## everything; as root on Debian it installs the backends first
	@if [ "$$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then integration/setup.sh; fi
	$(GO) test -race -shuffle=on -parallel 4 -timeout 27m ./... # those that run beside others mostly wait
	$(GO) test -shuffle=on ./bridge/admission ./bridge/spool # what is measured, and the race detector distorts

check: cross ## format, vet, staticcheck, go fix, go mod tidy
	@files=$$($(GO) tool gofumpt -l .); if [ -n "$$files" ]; then echo "not gofumpt-clean:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags owncgroups ./bridge/supervise/...
	$(GO) tool staticcheck ./...
	$(GO) fix -diff ./...
	$(GO) mod tidy -diff

cross: ## the systems it must build on
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./bridge/... ./cmd/sluice
	GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./bridge/... ./cmd/sluice
	GOOS=freebsd GOARCH=amd64 $(GO) build -o /dev/null ./bridge/... ./cmd/sluice

bench: ## micro-benchmarks, CPU per request included
	$(GO) test -run '^$$' -bench . -benchmem -cpu 2 ./bridge/... ./integration

pgo: ## a new profile for make build (1 min)
	$(GO) test -run '^$$' -bench Front -benchtime 8s -cpuprofile $(PGO) -o /dev/null ./bridge/front

bench-peers: ## against nginx, HAProxy, lighttpd and Caddy, side by side, into docs/benchmarks.md (20 min); with QUICK=1 a glance (3 min)
	integration/setup.sh
	$(GO) run ./integration/peers $(if $(QUICK),,--all --docs docs) $(if $(FRONT),--front $(FRONT))

# How many random lives each model plays, and the seed of the first; see bridge/internal/seeds.
SLUICE_SEEDS ?= 1000
SLUICE_SEED := $(or $(SLUICE_SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))

soak: ## random lives that nobody has seen before; ten minutes of mixed load and faults on real backends
	SLUICE_SEEDS=$(SLUICE_SEEDS) SLUICE_SEED=$(SLUICE_SEED) $(GO) test -race -run 'Model|Random' -count=1 -timeout 60m ./bridge/...
	integration/setup.sh
	SLUICE_SOAK=10m $(GO) test -race -run TestSoak -count=1 -timeout 30m -v ./integration
	$(MAKE) fuzz

# How long each target is fuzzed.
FUZZ ?= 1m

fuzz: ## every parser, $(FUZZ) each
	@grep -rn --include='*_test.go' -o '^func Fuzz[A-Za-z0-9]*' . | sed 's/:[0-9]*:func / /' | while read file target; do \
		echo "$$target in $${file%/*}"; \
		$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ) "$${file%/*}" || exit 1; \
	done

proofs: ## the packages twice, byte by byte; recipes of applications that take long to install; the gate beside a plain queue on real servers, in full length; how long reloads delay requests (about 25 min)
	integration/setup.sh proofs
	packaging/build.sh dist/once amd64 arm64 && packaging/build.sh dist/twice amd64 arm64 && diff -r dist/once dist/twice && rm -r dist/once dist/twice
	SLUICE_SOAK=1m $(GO) test -count=1 -timeout 30m -run 'TestDocumented|TestReloadDelays|TestPolls|TestSession|TestStops|TestFive|TestHeld|TestUpgrade' -v ./integration

simulate: ## the table and the pictures of docs/admission.md
	$(GO) run ./bridge/admission/sim -draw docs

demo: ## the gate at work, nothing to install
	$(GO) run ./cmd/sluice demo
