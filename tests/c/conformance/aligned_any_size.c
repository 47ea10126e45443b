// clause: C 7.22.3.1 | aligned_alloc: the size need not be a multiple of the alignment (DR 460)
// C11 asked for a size that is a multiple of the alignment; DR 460 took that back. Sizes below, at and
// above each multiple are served, and the whole size can be used.
#include "../territory.h"

int main(void) {
    territory_open();
    for (size_t alignment = 1; alignment <= MIB; alignment *= 2) {
        for (size_t multiple = 0; multiple <= 2; multiple++) {
            for (int off = -1; off <= 1; off++) {
                size_t n = multiple * alignment + (size_t)off;
                if (n > 4 * MIB) continue;
                void *p = aligned_alloc(alignment, n);
                CHECK(p && is_aligned(p, alignment), "alignment %zu, size %zu: %p", alignment, n, p);
                CLAIM(p, n);
                paint(p, n, n);
                CHECK(painted(p, n, n), "alignment %zu, size %zu", alignment, n);
                DISCLAIM(p, n);
                free(p);
            }
        }
    }
}
