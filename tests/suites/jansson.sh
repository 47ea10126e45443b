#!/usr/bin/env bash
# The JSON library jansson: its API tests, threads and failing allocations among them, and its suites of documents.
# needs: gcc make dpkg-source autoreconf
# packages: autoconf automake libtool gcc make dpkg-dev libc6-dev
# timeout: 900
source "$(dirname "$0")/lib/common.sh"

source_of jansson
cd source
[ -x configure ] || quiet autoreconf -i
quiet ./configure --disable-shared CFLAGS=-O1
quiet make -j2
# Each run of the harness would build again: built once, without running anything.
quiet make -j2 -C test check TESTS=
both "$automake" make -C test check-TESTS
