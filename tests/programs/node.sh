#!/usr/bin/env bash
# node with worker threads that hash, sort and pass buffers around.
# needs: node
# packages: nodejs
# timeout: 120
# runs: 2
source "$(dirname "$0")/lib/common.sh"

preloaded node "$lib/work.js" "$RALLOC_LIB" >ours || fail "$(cat ours)"
node "$lib/work.js" >theirs
[ -s theirs ] || fail 'node says nothing'
diff theirs ours
