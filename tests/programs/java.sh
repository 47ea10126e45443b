#!/usr/bin/env bash
# java with threads that come and go, direct buffers and native compression.
# needs: java javac
# packages: default-jdk-headless
# timeout: 120
# runs: 2
source "$(dirname "$0")/lib/common.sh"

options=(-XX:-UsePerfData -XX:ParallelGCThreads=2 -Xmx512m)
preloaded javac -d . "$lib/Work.java"
preloaded java "${options[@]}" -cp . Work "$RALLOC_LIB" >ours || fail "$(tail -n 20 ours)"
java "${options[@]}" -cp . Work >theirs
[ -s theirs ] || fail 'java says nothing'
diff theirs ours
