// clause: glibc 3.2.3.10 | malloc_usable_size: at least the size asked for, and all of it may be used
// malloc_usable_size is a promise: that many bytes are the caller's. Every byte is written, all
// blocks are alive at once, none may lose anything; and realloc keeps what lies beyond the request.
#include "../territory.h"

static void *block[24 * 1024];
static size_t usable[COUNT(block)];
static size_t live;

static void hold(void *p, size_t n) {
    CHECK(p && live < COUNT(block), "block %zu of %zu bytes: %p", live, n, p);
    usable[live] = malloc_usable_size(p);
    CHECK(usable[live] >= n, "%zu requested, %zu usable", n, usable[live]);
    CLAIM(p, usable[live]);
    memset(p, (int)(live % 251), usable[live]);
    block[live++] = p;
}

static bool is_filled(size_t i) {
    const unsigned char *bytes = block[i];
    return bytes[0] == i % 251 && memcmp(bytes, bytes + 1, usable[i] - 1) == 0;
}

int main(void) {
    territory_open();
    list_boundaries(4 * MIB);
    CHECK(malloc_usable_size(NULL) == 0, "of NULL: %zu", malloc_usable_size(NULL));
    for (size_t n = 1; n <= 2100; n++) {
        for (int i = 0; i < 5; i++) hold(malloc(n), n);
    }
    for (unsigned i = 0; i < boundaries; i++) {
        for (size_t n = boundary[i] - 1; n <= boundary[i] + 1; n++) {
            hold(malloc(n), n);
            hold(calloc(n, 1), n);
            hold(memalign(64, n), n);
            hold(memalign(4096, n), n);
        }
    }
    for (size_t i = 0; i < live; i++) CHECK(is_filled(i), "block %zu, usable %zu", i, usable[i]);

    for (size_t i = 0; i < live; i++) {
        DISCLAIM(block[i], usable[i]);
        if (i % 2) {
            size_t before = usable[i];
            block[i] = realloc(block[i], before + 1 + before / 8);
            CHECK(block[i] && malloc_usable_size(block[i]) > before, "realloc from %zu", before);
            CHECK(is_filled(i), "realloc kept less than the %zu usable bytes", before);
        }
        free(block[i]);
    }
}
