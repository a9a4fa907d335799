# make check is what every change passes before it is sent; the rest are its parts and what takes longer.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 30s

.PHONY: check test race lint format fuzz golden bench guard interop kill build docs monitoring

check: format lint race

build:
	go build -o liftoff ./cmd/liftoff

test:
	go test ./...

# Everything of this module but the programs on the official clients, under the race detector.
race:
	go test -race ./internal/... ./cmd/... ./bench/...

format:
	@bad=$$(gofmt -l .); [ -z "$$bad" ] || { echo "not formatted, run gofmt -w:"; echo "$$bad"; exit 1; }

lint:
	go vet ./...
	go run $(STATICCHECK) ./...

# Each fuzz target for FUZZTIME.
fuzz:
	.ci/fuzz $(FUZZTIME)

# Bytes that Apache RocketMQ wrote, read and written again.
golden:
	go test -run Golden ./...

# The programs on the official clients; fails where Java, Maven or Go is missing.
interop:
	LIFTOFF_REQUIRE_INTEROP=1 go test -count 1 -timeout 30m ./interop/...

# The broker is killed again and again under load.
kill:
	LIFTOFF_KILLS=200 go test -count 1 -timeout 60m -run Kill ./...

# The Grafana board and the Prometheus alerts: a module of its own, for it needs Prometheus.
monitoring:
	cd monitoring && go test -mod=mod -count 1 ./...

bench:
	go run ./bench

guard:
	go run ./bench --guard

# The tables of docs/configuration.md, docs/metrics.md and docs/mqadmin.md, from the code.
docs:
	go test ./internal/config ./internal/metrics ./interop -run Docs -update
