#!/usr/bin/env bash
# CPython's own tests of what allocates most, with every object in malloc instead of Python's arenas.
# needs: /usr/bin/python3
# check: /usr/bin/python3 -c "import test.test_json, test.test_dict"
# packages: python3 libpython$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')-testsuite
# timeout: 400
source "$(dirname "$0")/lib/common.sh"

wanted=(
    # Objects and containers.
    test_array test_bytes test_deque test_dict test_gc test_heapq test_list test_long test_memoryview
    test_set test_slice test_struct test_tuple test_unicode test_weakref
    # Code that builds and drops large structures.
    test_ast test_bz2 test_compile test_copy test_csv test_difflib test_functools test_itertools
    test_json test_lzma test_pickle test_re test_xml_etree test_zlib
    # Threads, processes and forks.
    test_fork1 test_queue test_subprocess test_thread test_threading test_threading_local
)
# Versions of Python differ in what they test.
mapfile -t present < <(/usr/bin/python3 - "${wanted[@]}" <<'PY'
import importlib.util, sys
print(*(name for name in sys.argv[1:] if importlib.util.find_spec("test." + name)), sep="\n")
PY
)
[ "${#present[@]}" -ge 30 ] || fail "only ${#present[@]} of the tests exist"

# Every Python that sees the library in its environment makes sure that it has it.
cat >sitecustomize.py <<PY
import os, sys
if os.environ.get("LD_PRELOAD") == "$RALLOC_LIB" and b"$RALLOC_LIB" not in open("/proc/self/maps", "rb").read():
    sys.exit("python runs without the library")
PY
export PYTHONPATH=$work PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1 HOME=$work
preloaded /usr/bin/python3 -c 'import sys; sys.exit("sitecustomize" not in sys.modules)' ||
    fail 'sitecustomize.py was not read'

preloaded /usr/bin/python3 -m test -j2 "${present[@]}" >log </dev/null || { tail -n 40 log; fail 'python3 -m test'; }
grep -qx "All ${#present[@]} tests OK\." log || { tail -n 10 log; fail "not all of ${#present[@]} tests ran"; }
