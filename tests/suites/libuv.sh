#!/usr/bin/env bash
# libuv, the event loop of Node: handles, a pool of threads, processes, files. Only tests that pass without the library count, as some
# want a network, or users, that a machine may not have.
# needs: gcc cmake make dpkg-source
# packages: gcc cmake make dpkg-dev libc6-dev
# timeout: 1500
source "$(dirname "$0")/lib/common.sh"

source_of libuv1
cd source
quiet cmake -B build -DCMAKE_BUILD_TYPE=Debug -DLIBUV_BUILD_SHARED=OFF -DCMAKE_C_FLAGS=-O1
quiet make -j2 -C build uv_run_tests_a
cd build
# Root may do what some tests are refused; those say so by themselves.
export UV_RUN_AS_ROOT=1
passed() {
    { grep '^ok ' "$1" | grep -v '# SKIP' || true; } | sed 's/^ok [0-9]* - //' | sort
}
./uv_run_tests_a >theirs 2>&1 </dev/null || true
preloaded ./uv_run_tests_a >ours 2>&1 </dev/null || true
served ours
passed theirs >theirs.passed
passed ours >ours.passed
[ "$(wc -l <theirs.passed)" -gt 200 ] || { tail -n 30 theirs; fail 'without the library'; }
# Tests of clocks and sockets fail now and then on a busy machine: what is missing gets two more chances.
for name in $(comm -23 theirs.passed ours.passed); do
    preloaded ./uv_run_tests_a "$name" >again 2>&1 </dev/null || preloaded ./uv_run_tests_a "$name" >again 2>&1 </dev/null ||
        { tail -n 20 again; fail "$name"; }
    echo "$name" >>ours.passed
done
echo "FIGURES $(wc -l <theirs.passed) passed on the system's malloc, $(comm -12 theirs.passed <(sort ours.passed) | wc -l) of these on the library"
