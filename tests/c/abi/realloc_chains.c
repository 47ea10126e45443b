// clause: C 7.22.3.5 | realloc: the contents are kept up to the lesser of the two sizes
// clause: glibc 3.2.3.4 | a block may move, or not, whatever its size
// A block walks through every size on which something changes, and the sizes next to it, up to
// 64 MiB: upwards, downwards, at random, with neighbours that keep it from growing in place and
// without. What both sizes have in common is kept.
#include "../common.h"

static size_t length[512];
static size_t lengths;

struct chain {
    void *block;
    size_t size;
    uint64_t tag;
};

static void step(struct chain *c, size_t n) {
    size_t kept = n < c->size ? n : c->size;
    void *p = realloc(c->block, n);
    CHECK(p && is_aligned(p, 16), "realloc from %zu to %zu gave %p", c->size, n, p);
    CHECK(malloc_usable_size(p) >= n, "%zu usable of %zu", malloc_usable_size(p), n);
    CHECK(prefix_painted(p, kept, c->tag), "from %zu to %zu lost contents", c->size, n);
    c->block = p;
    c->size = n;
    paint(p, n, ++c->tag);
}

/// Something behind the block, so that it cannot simply grow; sometimes freed, so that it can.
static void disturb(uint64_t *stream, size_t n) {
    static void *other[16];
    size_t i = below(stream, COUNT(other));
    free(other[i]);
    other[i] = n <= 4 * MIB && below(stream, 4) ? malloc(n) : NULL;
}

int main(void) {
    uint64_t stream = seed;
    list_boundaries(64 * MIB);
    for (unsigned i = 0; i < boundaries; i++) {
        for (size_t n = boundary[i] - 1; n <= boundary[i] + 1; n++) length[lengths++] = n;
    }
    for (int disturbed = 0; disturbed < 2; disturbed++) {
        struct chain c = {0};
        for (size_t i = 0; i < lengths; i++) {
            if (disturbed) disturb(&stream, length[i]);
            step(&c, length[i]);
        }
        for (size_t i = lengths; i-- > 0;) {
            if (disturbed) disturb(&stream, length[i]);
            step(&c, length[i]);
        }
        free(c.block);
    }

    // To and fro over each boundary, many blocks of a size alive.
    for (size_t i = 0; i + 2 < lengths && length[i] <= 4 * MIB; i += 3) {
        struct chain c[20] = {0};
        size_t n = length[i] <= 64 * KIB ? COUNT(c) : 3;
        for (int turn = 0; turn < 9; turn++) {
            for (size_t k = 0; k < n; k++) step(&c[k], length[i + (size_t)(turn * 2 % 3)]);
        }
        for (size_t k = 0; k < n; k++) free(c[k].block);
    }

    // From anywhere to anywhere; most of it small, as the large ones cost time.
    struct chain c[8] = {0};
    for (int turn = 0; turn < 60000; turn++) {
        struct chain *one = &c[below(&stream, COUNT(c))];
        size_t most = turn % 200 == 0 ? lengths : lengths * 5 / 8;
        size_t n = length[below(&stream, most)];
        if (one->size > 16 * MIB && below(&stream, 2)) n = length[below(&stream, 30)];
        step(one, n);
    }
    for (size_t k = 0; k < COUNT(c); k++) free(c[k].block);

    // From an aligned block, which may have its start somewhere inside.
    for (size_t alignment = 32; alignment <= 8 * MIB; alignment *= 2) {
        for (size_t i = 0; i < lengths && length[i] <= 2 * MIB; i += 5) {
            struct chain a = {memalign(alignment, length[i]), length[i], i};
            CHECK(a.block, "memalign(%zu, %zu)", alignment, length[i]);
            paint(a.block, a.size, a.tag);
            step(&a, length[i] * 3 / 2 + 1);
            step(&a, length[i] / 2 + 1);
            free(a.block);
        }
    }
}
