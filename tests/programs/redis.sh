#!/usr/bin/env bash
# redis-server under 50 clients, with threads that read for it and threads that free for it: no error,
# every key there, values intact, and a fork that saves them while they change.
# needs: redis-server redis-benchmark redis-cli
# packages: redis-server
# timeout: 120
# runs: 2
source "$(dirname "$0")/lib/common.sh"

socket=$work/redis.sock
ask() { redis-cli -s "$socket" "$@"; }
load() { redis-benchmark -s "$socket" -c 50 -P 4 -r 100000 "$@"; }

# start THREADS
start() {
    serve redis-server --port 0 --unixsocket "$socket" --dir "$work" --save '' --appendonly no \
        --io-threads "$1" --io-threads-do-reads yes --lazyfree-lazy-user-del yes \
        --lazyfree-lazy-user-flush yes --loglevel warning >/dev/null
    await ask ping
    mapped "$server"
}
finish() {
    ask shutdown nosave || true
    wait "$server" || fail "redis-server ended with status $?"
}

# Requests that one thread reads and another answers. The threads spin, so this part is short.
start 2
load -n 3000 -q incr counter >/dev/null
same 'increments' 3000 "$(ask get counter)"
load -n 3000 -d 3000 -q -t set,get,mset >/dev/null
finish

start 1
report=$(load -n 100000 -d 100 --csv -t set,get,incr,lpush,rpop,sadd,hset,spop,zadd,mset)
same 'commands that finished' 10 "$(grep -c '^"[A-Z]' <<<"$report")"
! grep -qi error <<<"$report" || fail "redis-benchmark: $report"
# Another thread frees it all.
ask flushall >/dev/null
load -n 200000 -q incr counter >/dev/null
same 'increments' 200000 "$(ask get counter)"
ask del counter >/dev/null

# Values of many lengths, which move as they grow.
ask eval '
    for i = 1, 50000 do redis.call("set", "key:" .. i, string.rep(tostring(i), 1 + i % 97)) end
    for i = 1, 50000, 3 do redis.call("append", "key:" .. i, string.rep("x", i % 1013)) end
    for i = 2, 50000, 3 do redis.call("del", "key:" .. i) end' 0 >/dev/null
same 'keys' 33333 "$(ask dbsize)"
check='
    local wrong = 0
    for i = 1, 50000 do
        local wanted = string.rep(tostring(i), 1 + i % 97)
        if i % 3 == 1 then wanted = wanted .. string.rep("x", i % 1013) end
        if i % 3 == 2 then wanted = false end
        if redis.call("get", "key:" .. i) ~= wanted then wrong = wrong + 1 end
    end
    return wrong'
same 'wrong values' 0 "$(ask eval "$check" 0)"

# The child saves these, whatever the parent does meanwhile.
ask bgsave >/dev/null
load -n 20000 -q -t lpush >/dev/null
saved() { ask info persistence | grep 'rdb_bgsave_in_progress:0'; }
await saved
[[ $(ask info persistence) == *rdb_last_bgsave_status:ok* ]] || fail "bgsave: $(ask info persistence)"
redis-check-rdb dump.rdb >check.log || fail "$(cat check.log)"
grep -q '33333 keys read' check.log || fail "the saved file: $(cat check.log)"
same 'wrong values after the fork' 0 "$(ask eval "$check" 0)"
finish
