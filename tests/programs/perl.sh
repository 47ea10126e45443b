#!/usr/bin/env bash
# perl: hashes, strings and regular expressions with known digests, and as many objects as it takes.
# needs: perl
# packages: perl
# timeout: 120
source "$(dirname "$0")/lib/common.sh"

preloaded perl "$lib/work.pl" "$RALLOC_LIB" >ours || fail "$(cat ours)"
perl "$lib/work.pl" >theirs
[ -s theirs ] || fail 'perl says nothing'
diff theirs ours
