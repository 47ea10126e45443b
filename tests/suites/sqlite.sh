#!/usr/bin/env bash
# SQLite: the fuzz cases that its authors have collected, each run as SQL or as a database file; and its stress of threads.
# needs: gcc make tclsh dpkg-source autoreconf
# packages: autoconf automake libtool gcc make tcl dpkg-dev libc6-dev
# timeout: 1500
source "$(dirname "$0")/lib/common.sh"

source_of sqlite3
cd source
[ -x configure ] || quiet autoreconf -i
quiet ./configure --disable-shared --disable-tcl --disable-readline CFLAGS=-O1
quiet make sqlite3.c shell.c
quiet make fuzzcheck threadtest3
both "sed -n 's/.*fuzzcheck: 0 errors out of \([0-9]*\) tests.*/\1/p'" ./fuzzcheck test/fuzzdata1.db test/fuzzdata2.db
both "grep -c '^Running walthread\|^Running dynamic\|^Running cgt\|^Running checkpoint\|^Running stress'" ./threadtest3
