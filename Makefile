# The targets that a person types. What they need is installed by
# scripts/install-deps, which is quiet when nothing is missing.

GO       ?= go
# The number of a release, without a v; else what git says of this tree.
VERSION  ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null | sed 's/^v//')
LDFLAGS   = -s -w -X github.com/droptrace/droptrace/cmd/droptrace/console.version=$(VERSION)
KERNELS  ?= 5.10,6.12
# Of make test: 6.12 with the tracepoint alone is what a 6.18 is tested with itself.
TESTED   ?= 5.10,6.12/fentry,6.12-arm64:short,6.12/tracepoint
N        ?= 1500
SEED     ?= 11
RECORDS  ?= 100000
FUZZTIME ?= 20s

export CGO_ENABLED = 0

.PHONY: build demo release publish test unit integration hostile fuzz packages test-real vm test-newest oracle oracle-vm adversary bench lint generate check-generated clean

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o droptrace ./cmd/droptrace

demo: build
	scripts/install-deps demo
	scripts/demo ./droptrace

# All that a release is made of, in dist/: make release VERSION=1.2.3
release:
	scripts/install-deps build
	scripts/release '$(VERSION)' dist

# Puts dist/ where people download it, with GitHub's gh.
publish:
	gh release create 'v$(VERSION)' --verify-tag --generate-notes dist/*

test: build
	scripts/install-deps test vm
	$(MAKE) lint unit integration hostile packages oracle vm N=300 KERNELS=$(TESTED)

unit:
	$(GO) test -skip '^TestWithoutAPart' ./bpf/... ./cmd/... ./resolve/... ./scripts/... ./tracer/... ./test/adversary ./test/nstest ./test/vm/...

# The running kernel, in namespaces of the tests' own.
integration: build
	DROPTRACE=$(CURDIR)/droptrace $(GO) test -count=1 -timeout 30m -skip '^TestGuest' ./test/integration
	$(GO) test -count=1 -timeout 30m -run '^TestWithoutAPart' ./tracer

# Root of a container against the host: names, comments and prefixes by raw netlink.
hostile: build
	DROPTRACE=$(CURDIR)/droptrace $(GO) test -count=1 -timeout 15m ./test/hostile

# The archive and the deb of this machine, built and run.
packages:
	$(GO) test -count=1 -timeout 15m -run '^TestRelease' ./test/real

# Packages in trees of Debian 12, 13 and sid and in roots of their own, two builds
# byte by byte, completion in its shells. DROPTRACE_TREES=DIR keeps the trees.
test-real:
	scripts/install-deps real
	$(GO) test -count=1 -timeout 60m ./test/real

# Each fuzz target for a while: make fuzz FUZZTIME=10m
fuzz:
	scripts/fuzz $(FUZZTIME)

# Other kernels, under QEMU without KVM. KERNELS=all: all that are tried before a
# release; one of them may have -generic or -rt behind it.
vm: build
	scripts/vm-test $(KERNELS)

test-newest: build
	scripts/install-deps test vm
	scripts/vm-test newest

oracle: build
	scripts/install-deps test
	$(GO) run ./test/oracle -n $(N) -seed $(SEED) -droptrace $(CURDIR)/droptrace

# The same in the guests, with every plan of probes that their kernels have.
oracle-vm: build
	scripts/install-deps test vm
	scripts/oracle-vm $(KERNELS) $(N) $(SEED)

# Floods by senders that change their CPUs, here and on a real-time kernel: the rule
# of each record against its packet's port.
adversary: build
	scripts/install-deps test vm
	$(GO) run ./test/adversary -n $(RECORDS) -droptrace $(CURDIR)/droptrace
	scripts/adversary-vm $(RECORDS)

# Beside tcpdump and bpftrace on this kernel, beside pwru in a guest that counts
# instructions; a conntrack table of a million entries in another; then single
# functions.
bench: build
	scripts/install-deps bench
	$(GO) run ./test/bench -droptrace ./droptrace drops
	$(GO) run ./test/bench -droptrace ./droptrace loads
	scripts/bench-accepted
	scripts/bench-tables
	$(GO) test -run '^$$' -bench . -benchmem ./tracer/... ./resolve/... ./cmd/...

lint: check-generated
	scripts/lint

generate:
	scripts/install-deps generate
	$(GO) generate ./...

# Says when an embedded object is older than its sources.
check-generated:
	scripts/check-generated

clean:
	rm -rf droptrace dist
