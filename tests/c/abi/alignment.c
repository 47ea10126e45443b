// clause: C 7.22.3 | a block is aligned for any object with a fundamental alignment
// clause: glibc 3.2.3.2 | the address of a block is a multiple of 16
// Whatever the size, a block can hold any object: max_align_t wants 16, also for one byte, and
// compilers rely on it (movaps). This holds for each verb that does not name an alignment.
#include "../common.h"

#define LIVE 64

static void check(const char *verb, void *p, size_t n) {
    CHECK(p, "%s(%zu) gave NULL", verb, n);
    CHECK(is_aligned(p, 16), "%s(%zu) gave %p", verb, n, p);
    memset(p, 0xA5, n);
}

static void each_verb(size_t n) {
    // Several at a time: a class whose stride is no multiple of 16 starts well and drifts.
    static void *made[LIVE][4];
    size_t live = n > 32 * KIB ? 2 : n > 1 * KIB ? 8 : LIVE;
    for (size_t i = 0; i < live; i++) {
        check("malloc", made[i][0] = malloc(n), n);
        check("calloc", made[i][1] = calloc(1, n), n);
        check("realloc", made[i][2] = realloc(NULL, n), n);
        // Grown from one byte, in place or not.
        check("realloc", made[i][3] = realloc(malloc(1), n), n);
    }
    for (size_t i = 0; i < live; i++) {
        for (int verb = 0; verb < 4; verb++) free(made[i][verb]);
    }
}

int main(void) {
    for (size_t n = 1; n <= 1100; n++) each_verb(n);
    list_boundaries(8 * MIB);
    for (unsigned i = 0; i < boundaries; i++) {
        for (size_t n = boundary[i] - 1; n <= boundary[i] + 1; n++) each_verb(n);
    }
}
