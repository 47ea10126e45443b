// Memory comes from the system and goes back all the time: every thread fills and empties its part of
// the heap in one go, some empty another's, one does nothing but trim. Pages and chunks are made and
// unmade while others look for room in them; what calloc gives is zero all the same.
#include "../territory.h"

#define THREADS 5
#define SECONDS 6

struct tide {
    struct tide *next;
    size_t size;
};

static double deadline;
static _Atomic(struct tide *) adrift[8];

static struct tide *rise(uint64_t *stream) {
    static const struct { size_t low, high, amount; } kinds[] = {
        {32, 1 * KIB, 2 * MIB},       {1 * KIB, 32 * KIB, 6 * MIB},  {33 * KIB, 2 * MIB, 24 * MIB},
        {64 * KIB, 128 * KIB, 8 * MIB}, {4 * KIB, 4 * KIB, 3 * MIB}, {2 * MIB, 3 * MIB, 20 * MIB},
    };
    size_t kind = below(stream, COUNT(kinds));
    struct tide *all = NULL;
    for (size_t sum = 0; sum < kinds[kind].amount;) {
        size_t n = between(stream, kinds[kind].low, kinds[kind].high);
        struct tide *t;
        if (below(stream, 3)) {
            t = malloc(n);
            CHECK(t, "malloc(%zu)", n);
        } else {
            t = calloc(1, n);
            CHECK(t && all_zero(t, n), "calloc(%zu)", n);
        }
        CLAIM(t, n);
        *t = (struct tide){all, n};
        paint(t + 1, n - sizeof *t, n);
        // All of it becomes dirty: what is not cleared later, calloc would show.
        if (n > 2 * DENSE) memset((char *)t + 2 * DENSE, 0xEE, n - 2 * DENSE);
        all = t;
        sum += n;
    }
    return all;
}
static void fall(struct tide *t) {
    for (struct tide *next; t; t = next) {
        next = t->next;
        size_t body = t->size - sizeof *t;
        CHECK(prefix_painted(t + 1, body < DENSE ? body : DENSE, t->size), "block of %zu", t->size);
        DISCLAIM(t, t->size);
        free(t);
    }
}

static void *work(void *number) {
    uint64_t stream = seed * 16 + (size_t)number;
    while (now() < deadline) {
        if ((size_t)number == 0) {
            malloc_trim(0);
            continue;
        }
        struct tide *mine = rise(&stream);
        // Acquire and Release: the blocks change hands with their contents.
        if (below(&stream, 2)) mine = atomic_exchange_explicit(&adrift[below(&stream, 8)], mine, memory_order_acq_rel);
        fall(mine);
    }
    return NULL;
}

int main(void) {
    territory_open();
    deadline = now() + patience(SECONDS);
    run_threads(THREADS, work);
    for (size_t i = 0; i < COUNT(adrift); i++) fall(adrift[i]);
}
