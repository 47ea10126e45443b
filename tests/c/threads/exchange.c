// timeout: 180
// Everybody frees everybody's blocks: 8 threads swap what they allocate through shared places, so
// that most frees are remote and in no order; sizes from one byte to some MiB. Some blocks are
// resized by who received them. No two living blocks may overlap, and none may lose its contents.
#include "../territory.h"

#define THREADS 8
#define PLACES 2048
#define SECONDS 6

/// At the start of each block; the rest is painted.
struct parcel {
    size_t size;
    uint64_t tag;
};

static _Atomic(struct parcel *) places[PLACES];
static double deadline;

static void seal(struct parcel *p, size_t size, uint64_t tag) {
    CLAIM(p, size);
    p->size = size;
    p->tag = tag;
    paint(p + 1, size - sizeof *p, tag);
}
static void unseal(struct parcel *p) {
    CHECK(p->size >= sizeof *p && painted(p + 1, p->size - sizeof *p, p->tag), "parcel %p of %zu",
          (void *)p, p->size);
    DISCLAIM(p, p->size);
}

static size_t a_size(uint64_t *stream) {
    size_t way = below(stream, 1000);
    size_t limit = way == 0 ? 6 * MIB : way < 10 ? 300 * KIB : way < 100 ? 32 * KIB : 1 * KIB;
    return sizeof(struct parcel) + any_size(stream, limit);
}

static void *trade(void *number) {
    uint64_t stream = seed * 1000 + (size_t)number, tag = (uint64_t)(size_t)number << 48;
    for (size_t round = 0; round % 64 || now() < deadline; round++) {
        size_t size = a_size(&stream);
        struct parcel *mine = below(&stream, 8) ? malloc(size) : memalign(16 << below(&stream, 10), size);
        CHECK(mine, "allocation of %zu", size);
        seal(mine, size, ++tag);
        // Release: our parcel's contents go with it. Acquire: we read those of the other's.
        struct parcel *got =
            atomic_exchange_explicit(&places[below(&stream, PLACES)], mine, memory_order_acq_rel);
        if (!got) continue;
        unseal(got);
        if (below(&stream, 5) == 0) {
            size_t kept = got->size;
            uint64_t old_tag = got->tag;
            size = a_size(&stream);
            got = realloc(got, size);
            CHECK(got, "realloc from %zu to %zu", kept, size);
            if (size < kept) kept = size;
            CHECK(prefix_painted(got + 1, kept - sizeof *got, old_tag), "realloc to %zu", size);
            seal(got, size, ++tag);
            unseal(got);
        }
        free(got);
    }
    return NULL;
}

int main(void) {
    territory_open();
    deadline = now() + patience(SECONDS);
    run_threads(THREADS, trade);
    for (size_t i = 0; i < PLACES; i++) {
        if (!places[i]) continue;
        unseal(places[i]);
        free(places[i]);
    }
}
