#!/usr/bin/env bash
# The compressor xz and its library: every filter, with dictionaries of many sizes, and threads.
# needs: gcc make dpkg-source autoreconf
# packages: autoconf automake libtool gcc make dpkg-dev libc6-dev
# timeout: 900
source "$(dirname "$0")/lib/common.sh"

source_of xz-utils
cd source
[ -x configure ] || quiet autoreconf -i
quiet ./configure --disable-shared --disable-nls --disable-doc CFLAGS=-O1
quiet make -j2
quiet make -j2 -C tests check TESTS=
both "$automake" make -C tests check-TESTS
