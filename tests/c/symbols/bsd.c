// clause: BSD reallocf(3), reallocarray(3), freezero(3) | each clause of the manual pages, and those of macOS
// skip: 32-bit -- half of the address space may be free
// skip: static -- there are no names at run time
// The functions of the BSDs and of macOS, each clause of their manual pages.
// control: skip -- this libc has none of them
// skip: static -- the loader is asked for names
// skip: qemu -- what is resident is the emulator's
#include "../common.h"
#include <dlfcn.h>

static void *(*reallocf)(void *, size_t);
static void *(*recallocarray)(void *, size_t, size_t, size_t);
static void (*freezero)(void *, size_t);
static size_t (*malloc_size)(const void *);
static size_t (*malloc_good_size)(size_t);

static void *function(const char *name) {
    void *address = dlsym(RTLD_DEFAULT, name);
    CHECK(address, "nobody has %s", name);
    return address;
}

static void growing_and_shrinking(void) {
    uint64_t stream = seed;
    size_t count = 0;
    unsigned char *p = recallocarray(NULL, 0, 0, 7);
    CHECK(p, "recallocarray of nothing");
    for (int i = 0; i < 2000; i++) {
        size_t next = any_size(&stream, i % 100 ? 40 * KIB : 4 * MIB);
        if (i % 7 == 0) next = 0;
        unsigned char *q = recallocarray(p, count, next, 3);
        CHECK(q, "recallocarray from %zu to %zu", count, next);
        size_t kept = count < next ? count : next;
        CHECK(prefix_painted(q, 3 * kept, 5), "what was there is gone, %zu to %zu", count, next);
        CHECK(all_zero(q + 3 * kept, 3 * (next - kept)), "what is new is not zero, %zu to %zu", count, next);
        brush(q, 0, 3 * next, 5, false);
        p = q, count = next;
    }
    free(p);
}

/// A block that is given back is cleared before anybody else can have it.
static void cleared(void) {
    enum { SIZE = 600 };
    unsigned char *p = malloc(SIZE);
    memset(p, 'x', SIZE);
    freezero(p, SIZE);
    p = opaque(p);
    // The allocator links its free blocks through their first words; nothing else is left.
    for (int i = 2 * sizeof(void *); i < SIZE; i++) CHECK(p[i] == 0, "byte %d is still %#x", i, p[i]);
    freezero(NULL, 100);

    unsigned char *old = malloc(SIZE);
    memset(old, 'y', SIZE);
    unsigned char *new = recallocarray(old, SIZE, 2 * SIZE, 1);
    old = opaque(old);
    CHECK(new != old, "nothing to see when it stays in place");
    for (int i = 2 * sizeof(void *); i < SIZE; i++) CHECK(old[i] == 0, "byte %d is still %#x", i, old[i]);
    free(new);
}

static void failures(void) {
    void *p = malloc(100);
    memset(p, 'z', 100);
    errno = 0;
    CHECK(!recallocarray(p, 100, SIZE_MAX / 2, 4) && errno == ENOMEM, "new product overflows: %d", errno);
    errno = 0;
    CHECK(!recallocarray(p, SIZE_MAX / 2, 1, 4) && errno == EINVAL, "old product overflows: %d", errno);
    errno = 0;
    CHECK(!recallocarray(NULL, 0, SIZE_MAX / 2, 4) && errno == ENOMEM, "from nothing: %d", errno);
    CHECK(((char *)p)[99] == 'z', "a failure has touched the block");
    // The block is given back with the failure: otherwise these would add up.
    size_t before = resident();
    for (int i = 0; i < 2000; i++) {
        void *q = malloc(256 * KIB);
        memset(q, 1, 256 * KIB);
        errno = 0;
        CHECK(!reallocf(q, SIZE_MAX / 2) && errno == ENOMEM, "reallocf: errno %d", errno);
    }
    CHECK(growth(before, resident()) < 32 * MIB, "%.1f MiB are still there", in_mib(growth(before, resident())));
    p = reallocf(p, 1000);
    CHECK(p && ((char *)p)[99] == 'z', "reallocf lost the contents");
    CHECK(!reallocf(p, 0), "reallocf to nothing gave something");
}

int main(void) {
    reallocf = function("reallocf");
    recallocarray = function("recallocarray");
    freezero = function("freezero");
    malloc_size = function("malloc_size");
    malloc_good_size = function("malloc_good_size");
    growing_and_shrinking();
    cleared();
    failures();
    list_boundaries(64 * MIB);
    CHECK(malloc_size(NULL) == 0, "NULL has a size");
    for (unsigned i = 0; i < boundaries; i++) {
        for (size_t size = boundary[i] - 1; size <= boundary[i] + 1; size++) {
            // The first few blocks of a small class may be larger than they need be.
            void *before[40];
            for (unsigned n = 0; size <= KIB && n < COUNT(before); n++) before[n] = malloc(size);
            void *p = malloc(size);
            for (unsigned n = 0; size <= KIB && n < COUNT(before); n++) free(before[n]);
            CHECK(malloc_size(p) == malloc_usable_size(p), "two sizes of %zu", size);
            CHECK(malloc_good_size(size) == malloc_size(p), "malloc_good_size(%zu) is %zu, malloc gives %zu", size,
                  malloc_good_size(size), malloc_size(p));
            free(p);
        }
    }
    CHECK(malloc_good_size(0) == 16, "the smallest is %zu", malloc_good_size(0));
    CHECK(malloc_good_size(SIZE_MAX) == SIZE_MAX, "too much is %zu", malloc_good_size(SIZE_MAX));
}
