// clause: POSIX free | errno is as it was
// clause: POSIX malloc | errno is as it was after a success
// control: skip qemu -- glibc tries another heap there, and the first attempt leaves ENOMEM
// errno is the caller's: free keeps it (POSIX 2024), a success keeps it, the library's own set-up
// before main leaves it 0, and system calls made on the way (munmap, madvise) do not leak theirs.
#include "../common.h"

#define KEPT(statement)                                                                            \
    do {                                                                                           \
        errno = 4321;                                                                              \
        statement;                                                                                 \
        CHECK(errno == 4321, "%s left errno %d (size %zu)", #statement, errno, n);                 \
    } while (0)

static void each_verb(size_t n) {
    void *p = NULL;
    KEPT(p = malloc(n));
    KEPT(malloc_usable_size(p));
    KEPT(p = realloc(p, n + n / 2));
    KEPT(p = realloc(p, n / 2 + 1));
    KEPT(free(p));
    KEPT(p = calloc(n, 1));
    KEPT(free(p));
    KEPT(p = memalign(256, n));
    KEPT(free(p));
    KEPT(posix_memalign(&p, 4096, n));
    KEPT(p = reallocarray(p, n, 2));
    KEPT(p = realloc(p, 0));
    KEPT(p = aligned_alloc(64 * KIB, n));
    KEPT(free(p));
    KEPT(p = pvalloc(n));
    KEPT(free(p));
    KEPT(free(NULL));
}

/// Enough of one size that pages fill, empty, return to the system and come back.
static void masses(size_t n) {
    size_t count = 48 * MIB / n;
    void **block = malloc(count * sizeof *block);
    CHECK(block, "table of %zu", count);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            KEPT(block[i] = malloc(n));
            CHECK(block[i], "malloc(%zu)", n);
            *(volatile char *)block[i] = 1;
        }
        for (size_t i = 0; i < count; i++) KEPT(free(block[i]));
        KEPT(malloc_trim(0));
    }
    free(block);
}

static void *in_thread(void *unused) {
    (void)unused;
    size_t n = 0;
    CHECK(errno == 0, "a new thread starts with errno %d", errno);
    void *p = NULL;
    KEPT(p = malloc(100));
    KEPT(free(p));
    for (n = 1; n <= 8 * MIB; n = n * 3 + 1) each_verb(n);
    return NULL;
}

int main(void) {
    CHECK(errno == 0, "main starts with errno %d", errno);
    for (size_t n = 1; n <= 64 * MIB; n = n * 3 + 1) each_verb(n);
    size_t sizes[] = {24, 100, 1000, 5000, 30000, 100 * KIB, 1 * MIB, 3 * MIB};
    for (size_t i = 0; i < COUNT(sizes); i++) masses(sizes[i]);
    run_threads(4, in_thread);

    // And a failure does set it.
    errno = 0;
    CHECK(!malloc(SIZE_MAX / 2 + 1) && errno == ENOMEM, "malloc: errno %d", errno);
    errno = 0;
    CHECK(!calloc(SIZE_MAX, 2) && errno == ENOMEM, "calloc: errno %d", errno);
    errno = 0;
    CHECK(!realloc(NULL, SIZE_MAX) && errno == ENOMEM, "realloc: errno %d", errno);
    errno = 0;
    CHECK(!memalign(64, SIZE_MAX - 64) && errno == ENOMEM, "memalign: errno %d", errno);
}
