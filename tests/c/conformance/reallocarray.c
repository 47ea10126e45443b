// clause: POSIX reallocarray | as realloc of the product
// Growing and shrinking arrays of elements of every size, from nothing and to nothing.
#include "../common.h"

int main(void) {
    for (size_t element = 1; element <= 5000; element += element / 2 + 1) {
        char *p = NULL;
        size_t count = 0;
        for (size_t next = 1; next * element < 4 * MIB; next += next / 3 + 1) {
            p = reallocarray(p, next, element);
            CHECK(p && is_aligned(p, 16), "%zu of %zu: %p", next, element, (void *)p);
            CHECK(prefix_painted(p, count * element, element), "from %zu to %zu of %zu", count, next, element);
            count = next;
            paint(p, count * element, element);
        }
        while (count > 1) {
            count /= 3;
            if (!count) break;
            p = reallocarray(p, count, element);
            CHECK(p && prefix_painted(p, count * element, element), "down to %zu of %zu", count, element);
            paint(p, count * element, element);
        }
        free(p);
    }
}
