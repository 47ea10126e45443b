// clause: C C23 7.24.3.4 | free_sized takes back what malloc, calloc and realloc gave
// clause: C C23 7.24.3.5 | free_aligned_sized takes back what aligned_alloc gave
// skip: static -- there are no names at run time
// C23: free_sized and free_aligned_sized take back what malloc, calloc, realloc and aligned_alloc
// gave, told the size that was asked for. Passes without a word where the library has neither.
#include "../common.h"
#include <dlfcn.h>

int main(void) {
    void (*free_sized)(void *, size_t) = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
    void (*free_aligned_sized)(void *, size_t, size_t) =
        (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
    if (!free_sized || !free_aligned_sized) return 0;

    list_boundaries(8 * MIB);
    size_t before = 0;
    for (int round = 0; round < 40; round++) {
        for (unsigned i = 0; i < boundaries; i++) {
            for (size_t n = boundary[i] - 1; n <= boundary[i] + 1; n++) {
                void *p = malloc(n), *zero = calloc(1, n), *grown = realloc(malloc(1), n);
                CHECK(p && zero && grown, "size %zu", n);
                *(volatile char *)p = *(volatile char *)grown = 1;
                errno = 99;
                free_sized(p, n);
                free_sized(grown, n);
                free_sized(zero, n);
                for (size_t alignment = 16; alignment <= 64 * KIB; alignment *= 8) {
                    size_t whole = (n + alignment - 1) / alignment * alignment;
                    void *a = aligned_alloc(alignment, whole);
                    CHECK(a && is_aligned(a, alignment), "alignment %zu, size %zu", alignment, whole);
                    *(volatile char *)a = 1;
                    free_aligned_sized(a, alignment, whole);
                }
                CHECK(errno == 99, "size %zu left errno %d", n, errno);
            }
        }
        // By then whatever is kept for the next round is.
        if (round == 4) before = resident();
    }
    free_sized(NULL, 0);
    free_aligned_sized(NULL, 64, 64);
    CHECK(growth(before, resident()) < 16 * MIB, "grew by %.1f MiB", in_mib(growth(before, resident())));
}
