# SPDX-License-Identifier: BSD-2-Clause
"""Where the programs under test are: $SOCKETBOX_BUILD, by default the build directory of this tree."""
import os
import pathlib

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SOCKETBOX_BUILD", SOURCE / "build")).resolve()
DAEMON = BUILD / "daemon" / "socketboxd"
SANITIZED = DAEMON.exists() and any(name in DAEMON.read_bytes() for name in (b"__asan_init", b"__tsan_init"))
CLI = BUILD / "cli" / "socketbox"
PROGRAMS = BUILD / "tests" / "integration"
LOAD = BUILD / "tests" / "support" / "load"
STREAMS = BUILD / "tests" / "support" / "streams"
QUERIES = BUILD / "tests" / "support" / "queries"
EXAMPLES = SOURCE / "examples"
RECEIVER = BUILD / "tests" / "support" / "receiver"
UNPACKED = pathlib.Path("/var/cache/socketbox-unpacked")  # by tools/install-deps
COMPAT_PROGRAMS = SOURCE / "tests" / "compat" / "programs"
PRELOAD = BUILD / "preload" / "libsocketbox-preload.so"
LIBRARY = BUILD / "lib" / "libsocketbox.so"
EXAMPLES_BUILT = BUILD / "examples"
FEEDER = BUILD / "tests" / "support" / "feeder"
FAULTS = BUILD / "tests" / "support" / "libfaults.so"
