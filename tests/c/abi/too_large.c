// clause: C 7.22.3.2 | calloc: a product that wraps around is refused
// clause: C 7.22.3.4 | malloc: a size that cannot be is refused with a null pointer
// clause: POSIX malloc | ENOMEM for a size that cannot be
// clause: POSIX reallocarray | ENOMEM for a product that wraps around; the block stays as it is
// A size that cannot be is refused with NULL and ENOMEM, and nothing else happens: products that
// wrap around, sizes over PTRDIFF_MAX, sizes that only rounding pushes over the end. The block
// given to a refused realloc stays as it was.
#include "../common.h"

#define REFUSED(call)                                                                              \
    do {                                                                                           \
        errno = 0;                                                                                 \
        void *result = call;                                                                       \
        CHECK(result == NULL, "%s gave %p", #call, result);                                        \
        CHECK(errno == ENOMEM, "%s left errno %d", #call, errno);                                  \
    } while (0)

static const size_t absurd[] = {
    SIZE_MAX,          SIZE_MAX - 1,      SIZE_MAX - 7,    SIZE_MAX - 15,       SIZE_MAX - 16,
    SIZE_MAX - 4095,   SIZE_MAX - 4096,   SIZE_MAX - 65535, SIZE_MAX - 65536,   SIZE_MAX - 4 * MIB,
    SIZE_MAX - 4 * MIB + 1, SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 2, SIZE_MAX / 2 + 4096, SIZE_MAX / 4 * 3,
#if SIZE_MAX > UINT32_MAX
    // Below PTRDIFF_MAX, but more than the address space has.
    SIZE_MAX / 2,      SIZE_MAX / 2 - 15, SIZE_MAX / 2 - 4095, SIZE_MAX / 2 - 4 * MIB, (size_t)1 << 62,
    (size_t)1 << 48,
#endif
};
/// A number whose square wraps around to zero.
#define HALF_WAY ((size_t)1 << sizeof(size_t) * 4)

static void alone(size_t n) {
    REFUSED(malloc(n));
    REFUSED(calloc(1, n));
    REFUSED(calloc(n, 1));
    REFUSED(calloc(n, n));
    REFUSED(realloc(NULL, n));
    REFUSED(reallocarray(NULL, 1, n));
    REFUSED(valloc(n));
    REFUSED(pvalloc(n));
    for (size_t alignment = 8; alignment <= 64 * MIB; alignment *= 2) {
        REFUSED(aligned_alloc(alignment, n));
        REFUSED(memalign(alignment, n));
        void *untouched = &untouched;
        int error = posix_memalign(&untouched, alignment, n);
        CHECK(error == ENOMEM, "posix_memalign(%zu, %zu) gave %d", alignment, n, error);
        CHECK(untouched == &untouched, "posix_memalign(%zu, %zu) wrote %p", alignment, n, untouched);
    }
}

static void with_block(size_t size) {
    void *p = malloc(size);
    CHECK(p, "malloc(%zu)", size);
    paint(p, size, size);
    for (size_t i = 0; i < COUNT(absurd); i++) {
        REFUSED(realloc(p, absurd[i]));
        REFUSED(reallocarray(p, 1, absurd[i]));
        REFUSED(reallocarray(p, absurd[i], 2));
        REFUSED(reallocarray(p, absurd[i], absurd[i]));
        CHECK(painted(p, size, size), "block of %zu after refusing %zu", size, absurd[i]);
    }
    REFUSED(reallocarray(p, HALF_WAY, HALF_WAY));
    REFUSED(reallocarray(p, SIZE_MAX / 16 + 1, 16));
    CHECK(painted(p, size, size), "block of %zu", size);
    p = realloc(p, size + 1);
    CHECK(p && painted(p, size, size), "block of %zu, grown after all", size);
    free(p);
}

int main(void) {
    for (size_t i = 0; i < COUNT(absurd); i++) alone(absurd[i]);
    // Each product wraps to a small number: 0, 16, 48, 1.
    REFUSED(calloc(HALF_WAY, HALF_WAY));
    REFUSED(calloc(SIZE_MAX / 16 + 2, 16));
    REFUSED(calloc(48, SIZE_MAX / 48 + 2));
    REFUSED(calloc(SIZE_MAX, SIZE_MAX));
    REFUSED(reallocarray(NULL, HALF_WAY, HALF_WAY));
    REFUSED(reallocarray(NULL, SIZE_MAX / 16 + 2, 16));
    // The block that a round-up to whole pages would make of this is empty.
    REFUSED(pvalloc(SIZE_MAX));
    REFUSED(pvalloc(SIZE_MAX - 4094));

    size_t sizes[] = {1, 100, 1024, 5000, 100 * KIB, 3 * MIB};
    for (size_t i = 0; i < COUNT(sizes); i++) with_block(sizes[i]);
}
