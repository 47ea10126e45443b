#!/usr/bin/env bash
# The XML parser expat, whose suite refuses allocations one by one.
# needs: gcc g++ make dpkg-source autoreconf
# packages: autoconf automake libtool gcc g++ make dpkg-dev libc6-dev
# ci: yes
# timeout: 900
source "$(dirname "$0")/lib/common.sh"

source_of expat
cd source/expat
[ -x configure ] || quiet autoreconf -i
quiet ./configure --without-docbook --without-examples --without-xmlwf --disable-shared CFLAGS=-O1 CXXFLAGS=-O1
quiet make -j2
quiet make -j2 -C tests runtests
both "sed -n 's/.*Checks: \([0-9]*\), Failed: 0.*/\1/p' | awk '{ n += \$1 } END { print n }'" ./tests/runtests
