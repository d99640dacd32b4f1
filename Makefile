# SPDX-License-Identifier: BSD-2-Clause
# The commands of this project; meson and ninja do the work. Each installs what it needs (Debian).
BUILD ?= build
SANITIZED ?= build-sanitize
SANITIZED_THREADS ?= build-sanitize-threads
export SOCKETBOX_BUILD := $(abspath $(BUILD))
PYTEST = /usr/bin/python3 -m pytest
JOBS ?= $(shell nproc)

# Tests that make a machine short of things, or want all of it: not beside others.
ALONE = $(addprefix tests/integration/test_,exhaustion.py faults.py shutdown.py soak.py)
# What both of the daemon's threads take part in.
TWO_THREADS = $(addprefix tests/integration/test_,privileges.py exec.py inetd.py inetd_limits.py upgrade.py)
MESON_OPTIONS ?=

.PHONY: all build run check unit integration compat bench sanitize sanitize-library sanitize-threads two-threads fuzz lint test install clean

all: build

$(BUILD)/build.ninja:
	tools/install-deps build test
	meson setup $(BUILD) $(MESON_OPTIONS)

build: $(BUILD)/build.ninja
	ninja -C $(BUILD)

# Starts the daemon and two isolated servers, and shows them answering.
run: build
	tools/install-deps demo
	tools/demo

# All tests, fast ones first.
check: unit lint integration compat

# No root, a few seconds.
unit: build
	tools/install-deps test
	meson test -C $(BUILD) --suite unit --print-errorlogs

integration: build
	tools/install-deps test
	tools/as-root $(PYTEST) -q -n $(JOBS) tests/integration $(ALONE:%=--ignore=%)
	tools/as-root $(PYTEST) -q $(ALONE)

# Real servers. Writes docs/compatibility.md.
compat: build
	tools/install-deps test compat
	tools/as-root $(PYTEST) -q -n $(JOBS) tests/compat

# One test file: make test FILE=tests/integration/test_claim.py
test: build
	tools/as-root $(PYTEST) $(FILE)

# Everything again under AddressSanitizer and UBSan.
sanitize: export UBSAN_OPTIONS = halt_on_error=1:print_stacktrace=1
sanitize:
	$(MAKE) BUILD=$(SANITIZED) MESON_OPTIONS='-Db_sanitize=address,undefined -Db_lundef=false' unit integration
	$(MAKE) BUILD=$(SANITIZED) sanitize-library

# The library in Python's process, which the sanitizer has to be in first.
sanitize-library:
	tools/as-root env LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 \
		$(PYTEST) -q tests/integration/test_lib.py -k 'not example'

# The libraries' use by several threads, all else that needs no root, and the daemon's two threads, under ThreadSanitizer.
sanitize-threads: export TSAN_OPTIONS = halt_on_error=1
sanitize-threads:
	$(MAKE) BUILD=$(SANITIZED_THREADS) MESON_OPTIONS='-Db_sanitize=thread -Db_lundef=false' unit two-threads

two-threads: build
	tools/as-root $(PYTEST) -q -n $(JOBS) $(TWO_THREADS)

# Each fuzzer for SECONDS_EACH (60).
fuzz:
	tools/install-deps build test
	tools/fuzz

bench: build
	tools/install-deps bench
	tools/as-root bench/run

lint: build
	tools/install-deps lint
	tools/lint $(BUILD)

install: build
	meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) $(SANITIZED) $(SANITIZED_THREADS)
