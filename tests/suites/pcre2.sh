#!/usr/bin/env bash
# The regular expressions of pcre2, with the tests of its just-in-time compiler.
# needs: gcc make dpkg-source autoreconf
# packages: autoconf automake libtool gcc make dpkg-dev libc6-dev
# timeout: 900
source "$(dirname "$0")/lib/common.sh"

source_of pcre2
cd source
[ -x configure ] || quiet autoreconf -i
quiet ./configure --disable-shared --enable-jit --enable-pcre2-16 CFLAGS=-O1
quiet make -j2
quiet make -j2 check TESTS=
both "grep -c '^  OK$\|^  OK with JIT\|Successful test\|OK$'" bash -c './RunTest && { [ ! -e pcre2_jit_test ] || ./pcre2_jit_test; }'
