# What the scripts here share. A script is one test of a real program on the library:
#
#     RALLOC_LIB=/path/to/libralloc.so bash tests/programs/redis.sh
#
# It runs in a fresh directory that goes away with it, and ends with status 0 only if the program's
# results are right. `cargo xtask test --tier programs` runs them all; what the comment at a script's
# top may tell it is described in xtask/src/programs.rs.
set -Eeuo pipefail
exec 2>&1

: "${RALLOC_LIB:?is the path of the library under test}"
export LC_ALL=C.UTF-8

lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
# Servers drop root and must still enter.
chmod 755 "$work"

leave() {
    local status=$?
    local jobs
    jobs=$(jobs -p)
    # shellcheck disable=SC2086 # one word for each job
    [ -z "$jobs" ] || { kill $jobs && wait; } 2>/dev/null || true
    cd / && rm -rf "$work"
    exit "$status"
}
trap leave EXIT
trap 'echo "FAILED: $BASH_COMMAND" >&2' ERR
cd "$work"

# Runs a command on the library.
preloaded() {
    LD_PRELOAD=$RALLOC_LIB "$@"
}

# Starts a server on the library; its process is $server.
serve() {
    LD_PRELOAD=$RALLOC_LIB "$@" &
    server=$!
}

# Ends the test.
fail() {
    echo "FAILED: $*"
    exit 1
}

# Ends the test as skipped: something is not to be had.
lacking() {
    echo "$*"
    exit 77
}

# same WHAT WANTED FOUND
same() {
    [ "$2" = "$3" ] || fail "$1: wanted '$2', found '$3'"
}

# Makes sure that the running process has the library.
mapped() {
    grep -qF "$RALLOC_LIB" "/proc/$1/maps" || fail "process $1 runs without the library"
}

# Makes sure that the loader gives the library to these programs.
loads() {
    local program objects
    for program; do
        objects=$(LD_TRACE_LOADED_OBJECTS=1 preloaded "$(command -v "$program")")
        [[ $objects == *"$RALLOC_LIB"* ]] || fail "$program runs without the library"
    done
}

# Waits for a command to succeed, 30 seconds at most.
await() {
    local left
    for ((left = 300; left > 0; left--)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "waited in vain for: $*"
}
