// clause: C 7.22.3.1 | aligned_alloc: the block has the alignment asked for
// clause: POSIX posix_memalign | the block has the alignment asked for; free and realloc take it
// clause: glibc 3.2.3.6 | memalign, aligned_alloc and posix_memalign: any power of two, any size
// The three verbs that name an alignment honour each from 8 bytes to 4 MiB, and 64 MiB, for sizes
// of every kind; blocks keep their contents and do not overlap; realloc and free take them back.
#include "../territory.h"

#define LIVE 24

struct held {
    void *block;
    size_t size;
    uint64_t tag;
};

static void *allocate(int verb, size_t alignment, size_t n) {
    void *p = NULL;
    if (verb == 0) p = memalign(alignment, n);
    if (verb == 1) p = aligned_alloc(alignment, n);
    if (verb == 2) {
        int error = posix_memalign(&p, alignment, n);
        CHECK(error == 0, "posix_memalign(%zu, %zu): %s", alignment, n, strerror(error));
    }
    CHECK(p, "verb %d: alignment %zu, size %zu: NULL", verb, alignment, n);
    CHECK(is_aligned(p, alignment), "verb %d: alignment %zu, size %zu: %p", verb, alignment, n, p);
    size_t usable = malloc_usable_size(p);
    CHECK(usable >= n, "verb %d: alignment %zu, size %zu: %zu usable", verb, alignment, n, usable);
    return p;
}

static void release(struct held *h, uint64_t *stream) {
    if (!h->block) return;
    CHECK(painted(h->block, h->size, h->tag), "contents of %p + %zu", h->block, h->size);
    DISCLAIM(h->block, h->size);
    if (below(stream, 3) == 0) {
        size_t n = any_size(stream, 2 * h->size + 64), kept = n < h->size ? n : h->size;
        h->block = realloc(h->block, n);
        CHECK(h->block, "realloc to %zu", n);
        CHECK(is_aligned(h->block, 16), "realloc gave %p", h->block);
        CHECK(prefix_painted(h->block, kept, h->tag), "realloc lost contents, %zu to %zu", h->size, n);
    }
    free(h->block);
    h->block = NULL;
}

static void each_size(size_t alignment, uint64_t *stream) {
    static struct held live[LIVE];
    static uint64_t tag;
    for (int round = 0; round < 400; round++) {
        struct held *h = &live[below(stream, LIVE)];
        release(h, stream);
        size_t n = any_size(stream, round % 100 ? 64 * KIB : 6 * MIB);
        if (round % 4 == 0) n = boundary[below(stream, boundaries)] + between(stream, 0, 2) - 1;
        // C17 and C23: a size that is not a multiple of the alignment is fine.
        h->block = allocate(round % 3, alignment, n);
        h->size = n;
        h->tag = ++tag;
        CLAIM(h->block, n);
        paint(h->block, n, h->tag);
    }
    for (size_t i = 0; i < LIVE; i++) release(&live[i], stream);
}

int main(void) {
    territory_open();
    list_boundaries(4 * MIB);
    uint64_t stream = seed;
    for (size_t alignment = 8; alignment <= 4 * MIB; alignment *= 2) each_size(alignment, &stream);

    for (int verb = 0; verb < 3; verb++) {
        size_t sizes[] = {1, 100, 4096, 40000, 3 * MIB, 64 * MIB};
        void *block[COUNT(sizes)];
        for (size_t i = 0; i < COUNT(sizes); i++) {
            block[i] = allocate(verb, 64 * MIB, sizes[i]);
            CLAIM(block[i], sizes[i]);
            paint(block[i], sizes[i], i);
        }
        for (size_t i = 0; i < COUNT(sizes); i++) {
            CHECK(painted(block[i], sizes[i], i), "64 MiB aligned block of %zu", sizes[i]);
            DISCLAIM(block[i], sizes[i]);
            free(block[i]);
        }
    }

    void *page = valloc(100), *pages = pvalloc(100);
    CHECK(page && is_aligned(page, 4096), "valloc gave %p", page);
    CHECK(pages && is_aligned(pages, 4096), "pvalloc gave %p", pages);
    CHECK(malloc_usable_size(pages) >= 4096, "pvalloc(100): %zu usable", malloc_usable_size(pages));
    free(page);
    free(pages);
}
