// clause: C 7.22.3 | a block of size zero has an address of its own, at whatever alignment
// control: skip musl -- of its blocks of size zero nothing can be used
// A block of size 0 is a block: it has bytes that may be used, at whatever alignment, and an address of its own.
#include "../common.h"

int main(void) {
    for (size_t alignment = 16; alignment <= 32 * MIB; alignment *= 2) {
        void *p = memalign(alignment, 0), *q = aligned_alloc(alignment, 0);
        CHECK(p && q && p != q, "%zu: %p and %p", alignment, p, q);
        CHECK(is_aligned(p, alignment) && is_aligned(q, alignment), "%zu: %p and %p", alignment, p, q);
        CHECK(malloc_usable_size(p) > 0 && malloc_usable_size(q) > 0, "%zu: nothing can be used", alignment);
        memset(p, 1, malloc_usable_size(p));
        memset(q, 2, malloc_usable_size(q));
        p = realloc(p, 100);
        CHECK(p, "cannot grow");
        free(p);
        free(q);
    }
}
