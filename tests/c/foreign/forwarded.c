// With foreign=forward, blocks that the C library's allocator has made go back to it, whichever verb meets them.
// env: RALLOC_OPTIONS=foreign=forward
// skip: static musl -- the C library's own allocator is out of reach
// clause: life | with foreign=forward, blocks of another allocator go back to it
#include "foreign.h"

static void *in_thread(void *block) {
    errno = 77;
    free(block);
    CHECK(errno == 77, "errno is %d", errno);
    return NULL;
}

int main(void) {
    find_libc();
    for (size_t size = 1; size <= 100 * KIB; size = 3 * size + 1) {
        char *p = block_of_libc(size);
        memset(p, 'p', size);
        errno = 77;
        CHECK(malloc_usable_size(p) == libc.usable(p), "%zu: the size is %zu", size, malloc_usable_size(p));
        CHECK(malloc_usable_size(p) >= size, "%zu: the size is %zu", size, malloc_usable_size(p));
        p = realloc(p, 2 * size);
        CHECK(p && p[0] == 'p' && p[size - 1] == 'p', "%zu: realloc lost the contents", size);
        // Under an emulator libc's realloc succeeds after its break was refused, which shows.
        CHECK(errno == 77 || is_emulated(), "errno is %d", errno);
        free(p);
        p = block_of_libc(size);
        CHECK(realloc(p, 0) == NULL, "realloc to nothing gave something");
        join_thread(start_thread(in_thread, block_of_libc(size)));
        p = malloc(size);
        CHECK(p && malloc_usable_size(p) >= size, "blocks of our own");
        free(p);
    }
    // Wherever they lie: large ones are mappings of their own, with nothing in front of them.
    for (size_t size = 100 * KIB; size <= 9 * MIB; size += 300 * KIB) {
        char *p = libc.take(size);
        CHECK(p, "libc has no memory");
        p[0] = 'p', p[size - 1] = 'p';
        free(p);
    }
    // More than once: what was forwarded is really given back.
    size_t before = resident();
    char *p = block_of_libc(50 * KIB);
    free(p);
    for (int i = 0; i < 10000; i++) {
        p = libc.take(50 * KIB);
        memset(p, 'q', 50 * KIB);
        free(p);
    }
    CHECK(growth(before, resident()) < 64 * MIB, "%.1f MiB more", in_mib(growth(before, resident())));
}
