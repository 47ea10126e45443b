// clause: C 7.22.3.1 | aligned_alloc: an alignment that is none is refused with a null pointer
// clause: POSIX posix_memalign | EINVAL for an alignment that is not a power of two times the size of a pointer
// clause: glibc 3.2.3.6 | memalign: an alignment that is not a power of two is rounded up
// Alignments that are none. posix_memalign names the rules: a power of two, a multiple of a
// pointer's size, else EINVAL, with errno and the pointer untouched. The older verbs may refuse
// with EINVAL or round up to the next power of two, as their libraries do; never crash, never
// give less than was asked for.
#include "../common.h"

static size_t next_power(size_t n) {
    size_t power = 1;
    while (power < n) power *= 2;
    return power;
}

static void refused_or_rounded(const char *verb, void *p, size_t alignment) {
    if (!p) {
        CHECK(errno == EINVAL, "%s with alignment %zu left errno %d", verb, alignment, errno);
        return;
    }
    CHECK(is_aligned(p, next_power(alignment)), "%s with alignment %zu gave %p", verb, alignment, p);
    memset(p, 1, 200);
    free(p);
}

int main(void) {
    // 4 is the size of a pointer on some machines, and then an alignment.
    size_t strange[] = {0, 1, 2, 3, sizeof(void *) / 2, 5, 6, 7, 9, 12, 17, 24, 40, 48, 100, 1000, 4095, 4097, 6000,
                        65537, 3 * MIB};
    for (size_t i = 0; i < COUNT(strange); i++) {
        size_t alignment = strange[i];
        void *untouched = &untouched;
        errno = 77;
        int error = posix_memalign(&untouched, alignment, 200);
        CHECK(error == EINVAL, "posix_memalign(%zu) gave %d", alignment, error);
        CHECK(untouched == &untouched, "posix_memalign(%zu) wrote %p", alignment, untouched);
        CHECK(errno == 77, "posix_memalign(%zu) left errno %d", alignment, errno);

        errno = 0;
        refused_or_rounded("memalign", memalign(alignment, 200), alignment);
        errno = 0;
        refused_or_rounded("aligned_alloc", aligned_alloc(alignment, 200), alignment);
    }

    // Alignments that no power of two reaches, or no address space can serve.
    size_t huge[] = {SIZE_MAX, SIZE_MAX / 2 + 2, SIZE_MAX - 4095,
#if SIZE_MAX > UINT32_MAX
                     // Of 32 bits, half has one place, which may be free.
                     SIZE_MAX / 2, SIZE_MAX / 2 + 1,
#endif
    };
    for (size_t i = 0; i < COUNT(huge); i++) {
        void *untouched = &untouched;
        int error = posix_memalign(&untouched, huge[i], 200);
        CHECK(error == EINVAL || error == ENOMEM, "posix_memalign(%zu) gave %d", huge[i], error);
        CHECK(untouched == &untouched, "posix_memalign(%zu) wrote %p", huge[i], untouched);
        errno = 0;
        CHECK(!memalign(huge[i], 200), "memalign(%zu)", huge[i]);
        CHECK(errno == EINVAL || errno == ENOMEM, "memalign(%zu): errno %d", huge[i], errno);
        errno = 0;
        CHECK(!aligned_alloc(huge[i], 200), "aligned_alloc(%zu)", huge[i]);
        CHECK(errno == EINVAL || errno == ENOMEM, "aligned_alloc(%zu): errno %d", huge[i], errno);
    }

    // posix_memalign reports by its result alone, also when memory is what is missing.
    void *untouched = &untouched;
    errno = 77;
    CHECK(posix_memalign(&untouched, 64, SIZE_MAX - 8192) == ENOMEM, "posix_memalign of all the world");
    CHECK(untouched == &untouched, "posix_memalign wrote %p", untouched);
}
