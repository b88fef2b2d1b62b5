# autos - GNU Make, one flat file. Two targets do everything on a fresh Debian 12:
#   make demo     installs what is missing, builds, fetches one synthetic case file
#   make check    installs what the tests need, runs every test, with sanitizers and on both databases
# `make help` lists the rest.

MAKEFLAGS += --no-builtin-rules
VERSION := 0.1.0

# BUILD=dir chooses where everything goes; SAN=address,undefined or SAN=thread adds sanitizers.
BUILD ?= build
SAN ?=
CC := $(if $(filter default undefined,$(origin CC)),gcc,$(CC))
CFLAGS ?= -O2 -g
JOBS := $(shell nproc)
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1) $@")

WARN := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
	-Wwrite-strings -Wvla -Wformat=2 -Wundef -Wswitch-enum
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
HARDEN := -fstack-protector-strong $(if $(SAN),,-D_FORTIFY_SOURCE=2)
LIBS := libcurl sqlite3 libpq jansson libcrypto libmicrohttpd zlib expat
ALL_CFLAGS = -std=gnu2x -D_GNU_SOURCE -DAUTOS_VERSION='"$(VERSION)"' -pthread -MMD -MP \
	$(WARN) $(HARDEN) $(SANFLAGS) $(CFLAGS) $(shell pkg-config --cflags $(LIBS))
ALL_LDFLAGS = -pthread $(SANFLAGS) $(LDFLAGS)
LDLIBS = $(shell pkg-config --libs $(LIBS))

SRC := $(filter-out src/main.c,$(wildcard src/*.c))
OBJ := $(SRC:src/%.c=$(BUILD)/src/%.o)
SIM := $(wildcard sim/*.c)
SIM_OBJ := $(SIM:sim/%.c=$(BUILD)/sim/%.o)
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCHERS := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tests/tool-%,$(wildcard tests/tools/*.c))
SHIMS := $(patsubst tests/shim/%.c,$(BUILD)/tests/%.so,$(wildcard tests/shim/*.c))

.PHONY: all help tests demo check check-sanitized check-postgres check-plain check-thread fleet-campaign bench fuzz lint format deps deps-test \
	deps-fuzz deps-bench install clean kill-campaign kill-campaign-webhooks

all: $(BUILD)/autos $(BUILD)/autos-sim ## builds build/autos and build/autos-sim

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1 - /p' $(MAKEFILE_LIST) | sort

# ---- programs ----

$(BUILD)/autos: $(BUILD)/src/main.o $(BUILD)/libautos.a
	$(call say,CC)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/autos-sim: $(SIM_OBJ) $(BUILD)/libautos.a
	$(call say,CC)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libautos.a: $(OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/src/%.o: src/%.c Makefile
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# Files that become part of the program; embed.c names them from the root of the tree.
$(BUILD)/src/embed.o: docs/openapi.json web/docs.html web/docs.css web/docs.js
$(BUILD)/src/embed.o: CFLAGS += -Wa,-I$(CURDIR)

$(BUILD)/sim/%.o: sim/%.c Makefile
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Isrc -c -o $@ $<

# ---- tests ----

tests: all $(UNIT) $(FUZZ) $(TOOLS) $(SHIMS)

$(BUILD)/tests/test_%: tests/unit/test_%.c $(BUILD)/libautos.a Makefile
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Isrc $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libautos.a $(LDLIBS) \
		$(shell pkg-config --libs cmocka)

# A fuzz target built with gcc replays files; `make fuzz` builds the same with libFuzzer.
$(BUILD)/tests/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(BUILD)/libautos.a Makefile
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Isrc $(ALL_LDFLAGS) -o $@ $< tests/fuzz/replay.c $(BUILD)/libautos.a $(LDLIBS)

# Tools let tests written in Python call a room directly.
$(BUILD)/tests/tool-%: tests/tools/%.c $(BUILD)/libautos.a Makefile
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Isrc $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libautos.a $(LDLIBS)

# Shims are preloaded into the real program to make its system calls fail; never sanitized.
$(BUILD)/tests/%.so: tests/shim/%.c Makefile
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu2x -D_GNU_SOURCE $(WARN) -O2 -g -fPIC -shared -o $@ $< -ldl

check: deps-test ## installs what tests need, runs every test: sanitizers and SQLite, then -O2 and PostgreSQL
	@status=0; $(MAKE) check-sanitized || status=1; $(MAKE) check-postgres || status=1; exit $$status

check-sanitized: deps-test ## every test built with ASan + UBSan, on SQLite, main ones on PostgreSQL too
	$(MAKE) -j$(JOBS) BUILD=build/asan SAN=address,undefined CFLAGS="-O1 -g" tests
	tests/run.py --build build/asan

check-postgres: deps-test ## every test on the -O2 build and on PostgreSQL
	$(MAKE) -j$(JOBS) tests
	tests/run.py --build build --database postgres

check-plain: deps-test ## every test on the -O2 build, on SQLite, main ones on PostgreSQL too
	$(MAKE) -j$(JOBS) tests
	tests/run.py --build build

check-thread: deps-test ## unit and whole-program tests under ThreadSanitizer
	$(MAKE) -j$(JOBS) BUILD=build/tsan SAN=thread CFLAGS="-O1 -g" tests
	tests/run.py --build build/tsan

fleet-campaign: deps-test all ## a fleet under N=200 kills, freezes and cuts at random moments, and 30 rescues
	AUTOS_FLEET_KILLS=$(or $(N),200) AUTOS_FLEET_RESCUES=30 AUTOS_SEED=$(or $(SEED),7) AUTOS_BUILD=$(BUILD) \
		PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -q -p no:cacheprovider -rP tests/e2e/test_fleet_deaths.py

kill-campaign: deps-test all ## kill -9 at N=10000 random moments
	tests/campaign-kill.sh $(N)

kill-campaign-webhooks: deps-test all ## kill -9 at N=200 random moments while CASES=500 jobs with webhooks end
	HOOK_KILLS=$(or $(N),200) HOOK_JOBS=$(or $(CASES),500) SEED=$(or $(SEED),1) AUTOS_BUILD=$(BUILD) \
		PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -q -p no:cacheprovider -rP tests/e2e/test_webhooks_kill.py

fuzz: deps-fuzz ## fuzzes every target for TIME=60 seconds each, with libFuzzer
	$(MAKE) -j$(JOBS) BUILD=build/fuzz CC=clang SAN=fuzzer-no-link,address,undefined CFLAGS="-O1 -g" \
		build/fuzz/libautos.a
	tests/fuzz/run.sh build/fuzz $(or $(TIME),60)

bench: deps-bench all $(BENCHERS) ## measures autos beside other programs; BENCH=service chooses a part
	tests/bench/run.py $(BENCH)

$(BUILD)/bench/%: tests/bench/%.c $(BUILD)/libautos.a Makefile
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Isrc $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libautos.a $(LDLIBS)

lint: ## format, banned functions, layers, file sizes
	tests/lint.sh

format: ## rewrites the sources with clang-format
	clang-format -i src/*.[ch] sim/*.[ch] tests/*/*.c

# ---- running it ----

demo: deps ## installs what is missing, builds, fetches one synthetic case file
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@tests/demo.sh

deps:
	@packaging/deps.sh build

deps-test:
	@packaging/deps.sh build test
	@tests/interop/install.sh

deps-fuzz:
	@packaging/deps.sh build fuzz

deps-bench:
	@packaging/deps.sh build bench

PREFIX ?= /usr/local
install: all ## installs programs, systemd unit and documents below PREFIX (default /usr/local)
	install -D -m 0755 $(BUILD)/autos $(DESTDIR)$(PREFIX)/bin/autos
	install -D -m 0755 $(BUILD)/autos-sim $(DESTDIR)$(PREFIX)/bin/autos-sim
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/doc/autos/docs
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' packaging/autos.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/autos.service
	install -m 0644 packaging/autos.conf README.md CHANGELOG.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/autos
	install -m 0644 docs/*.md docs/openapi.json $(DESTDIR)$(PREFIX)/share/doc/autos/docs

clean: ## removes everything that was built
	rm -rf build

-include $(wildcard $(BUILD)/src/*.d $(BUILD)/sim/*.d $(BUILD)/tests/*.d $(BUILD)/bench/*.d)
