#!/usr/bin/env bash
# postgres with four clients of pgbench: all their money is still there, and the indices agree with the tables.
# check: ls /usr/lib/postgresql/*/bin/pgbench || command -v pgbench postgres
# needs: setpriv
# packages: postgresql util-linux
# timeout: 150
# runs: 2
source "$(dirname "$0")/lib/common.sh"

newest=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
PATH=${newest:-/usr/lib/postgresql}:$PATH
export PGHOST=$work PGDATABASE=postgres PGUSER=test HOME=$work

# The server refuses to be root. (A shell function would stand between us and its process.)
drop=()
if [ "$(id -u)" = 0 ]; then
    drop=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    chown nobody "$work"
fi
"${drop[@]}" env LD_PRELOAD="$RALLOC_LIB" initdb -D data -U test -A trust -E UTF8 --no-sync >log ||
    { cat log; fail initdb; }
"${drop[@]}" env LD_PRELOAD="$RALLOC_LIB" postgres -D data -k "$work" \
    -c listen_addresses= -c fsync=off -c max_connections=20 -c shared_buffers=32MB >log 2>&1 &
server=$!
await pg_isready
mapped "$server"

ask() { psql -XAtq -v ON_ERROR_STOP=1 -c "$1"; }
grep -qF "$RALLOC_LIB" <<<"$(ask "SELECT pg_read_file('/proc/self/maps')")" || fail 'a backend runs without the library'

preloaded pgbench -i -q -s 2 --foreign-keys >bench 2>&1 || { cat bench; fail 'pgbench -i'; }
preloaded pgbench -c 4 -j 2 -t 500 -n >bench 2>&1 || { cat bench; fail pgbench; }
grep -q 'processed: 2000/2000' bench || { cat bench; fail 'transactions are missing'; }
same 'history' 2000 "$(ask 'SELECT count(*) FROM pgbench_history')"
sums=$(ask 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history),
                   (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history),
                   (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)')
same 'balances' 't|t|t' "$sums"

# Sorting, hashing, aggregating and large values, with parallel workers.
ask "SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET work_mem = '4MB';
     CREATE TABLE t AS SELECT i, md5(i::text) AS h, repeat(i::text, i % 300) AS r FROM generate_series(1, 100000) i;
     CREATE INDEX ON t(h);"
lengths=$(awk 'BEGIN { for (i = 1; i <= 100000; i++) sum += length(i) * (i % 300); print sum }')
same 'rows and lengths' "100000|$lengths|100000" \
    "$(ask 'SELECT count(*), sum(length(r)), count(DISTINCT h) FROM t')"
same 'join' 100000 "$(ask 'SELECT count(*) FROM t a JOIN t b USING (h)')"
same 'json' 5000050000 "$(ask "SELECT sum((j->>'i')::bigint) FROM (SELECT jsonb_build_object('i', i, 'r', r) AS j FROM t) x")"
kill -INT "$server"
wait "$server" || fail "postgres ended with status $?: $(tail log)"
! grep -E 'PANIC|terminated by signal' log || fail 'the log complains'
