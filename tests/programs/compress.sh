#!/usr/bin/env bash
# xz and zstd with two threads each: what comes back is what went in.
# needs: xz zstd
# packages: xz-utils zstd
# timeout: 240
# runs: 2
source "$(dirname "$0")/lib/common.sh"

loads xz zstd
# 48 MB of text that compresses, and 8 MB that does not.
seq 1 6000000 | awk '{ print $1 * 7919 % 1000003 }' >input
head -c 8000000 /dev/urandom >>input
wanted=$(sha256sum <input)

round() {
    local name=$1 unpack=$2
    shift 2
    preloaded "$@" <input >"$name"
    [ "$(stat -c %s "$name")" -lt "$(stat -c %s input)" ] || fail "$*: not smaller"
    # shellcheck disable=SC2086 # a command line
    same "$*" "$wanted" "$(preloaded $unpack <"$name" | sha256sum)"
}
round a.xz 'xz -dc -T2' xz -2 -T2 --block-size=4MiB -c
round b.zst 'zstd -dc -q' zstd -9 -T2 -q -c
round c.zst 'zstd -dc -q --long=27' zstd -3 -T2 --long=27 -q -c
# Each can also read what was written without the library.
same 'xz of the system' "$wanted" "$(xz -dc a.xz | sha256sum)"
same 'zstd of the system' "$wanted" "$(zstd -dc -q b.zst | sha256sum)"
