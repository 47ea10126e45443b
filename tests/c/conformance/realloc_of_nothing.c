// clause: C 7.22.3.5 | realloc of a null pointer is malloc
// clause: POSIX realloc | realloc of a null pointer is malloc
// realloc(NULL, n), for n of every kind, gives what malloc(n) would: a block of its own, aligned, to
// be resized and freed like any other.
#include "../territory.h"

int main(void) {
    territory_open();
    list_boundaries(8 * MIB);
    for (unsigned i = 0; i < boundaries; i++) {
        for (size_t n = boundary[i] - 1; n <= boundary[i] + 1; n++) {
            void *first = realloc(NULL, n), *second = malloc(n);
            CHECK(first && second && is_aligned(first, 16), "size %zu: %p %p", n, first, second);
            CLAIM(first, n);
            CLAIM(second, n);
            paint(first, n, n);
            CHECK(malloc_usable_size(first) >= n, "%zu usable of %zu", malloc_usable_size(first), n);
            DISCLAIM(first, n);
            void *grown = realloc(first, n + n / 3 + 1);
            CHECK(grown && prefix_painted(grown, n, n), "grown from %zu", n);
            free(grown);
            DISCLAIM(second, n);
            free(second);
        }
    }
}
