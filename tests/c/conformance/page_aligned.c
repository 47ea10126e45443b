// clause: glibc 3.2.3.6 | valloc and pvalloc: at a page boundary; pvalloc rounds the size up to whole pages
// skip: musl -- no pvalloc
// The two obsolete verbs, for sizes around one page and several.
#include "../territory.h"

int main(void) {
    territory_open();
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t n = 0; n < 20 * page; n += n % page < 3 || n % page > page - 3 ? 1 : 509) {
        void *v = valloc(n), *p = pvalloc(n);
        size_t whole = (n + page - 1) / page * page;
        CHECK(v && p && is_aligned(v, page) && is_aligned(p, page), "size %zu: %p %p", n, v, p);
        CHECK(malloc_usable_size(p) >= whole, "%zu usable of pvalloc(%zu)", malloc_usable_size(p), n);
        CLAIM(v, n);
        CLAIM(p, whole);
        memset(p, 1, whole);
        memset(v, 2, n);
        CHECK(!whole || (*(char *)p == 1 && ((char *)p)[whole - 1] == 1), "size %zu", n);
        DISCLAIM(v, n);
        DISCLAIM(p, whole);
        free(v);
        free(p);
    }
}
