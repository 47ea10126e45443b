// clause: POSIX mlock | memory that the program locked, and freed, serves as before
// clause: glibc 3.5 | locked pages stay usable
// A program locks memory (mlock, mlockall), as those do that keep secrets or deadlines. The kernel then
// refuses to take the frames of that memory back, so it does not become zero by being given back;
// calloc must not believe that it did. Everything else goes on as usual, and as fast.
#include "../common.h"

#define LIVE 64

static void cycle(size_t n, bool lock_each) {
    void *block[LIVE];
    size_t live = n > MIB ? 3 : n > 32 * KIB ? 16 : LIVE;
    for (size_t i = 0; i < live; i++) {
        block[i] = malloc(n);
        CHECK(block[i], "malloc(%zu)", n);
        memset(block[i], 0xFF, n);
        // Never unlocked: the program leaves that to free, wrongly but not rarely.
        if (lock_each) CHECK(mlock(block[i], n) == 0, "mlock: %s", strerror(errno));
    }
    for (size_t i = 0; i < live; i++) free(block[i]);
    malloc_trim(0);
    for (size_t i = 0; i < live; i++) {
        block[i] = calloc(1, n);
        CHECK(block[i], "calloc(%zu)", n);
        CHECK(all_zero(block[i], n), "calloc(%zu) of memory that was locked", n);
        memset(block[i], 0xFF, n);
    }
    for (size_t i = 0; i < live; i++) {
        block[i] = realloc(block[i], n * 2 + 1);
        CHECK(block[i], "realloc(%zu)", n * 2 + 1);
        for (size_t at = 0; at < n; at += 512) CHECK(((unsigned char *)block[i])[at] == 0xFF, "realloc");
    }
    for (size_t i = 0; i < live; i++) free(block[i]);
}

static void all_sizes(bool lock_each) {
    size_t sizes[] = {40, 1000, 5000, 30000, 50 * KIB, 64 * KIB, 200 * KIB, 1 * MIB, 2 * MIB, 3 * MIB, 5 * MIB};
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < COUNT(sizes); i++) cycle(sizes[i], lock_each);
    }
}

int main(void) {
    // Where so little may be locked that this says nothing, it says nothing.
    struct rlimit limit;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < 256 * MIB && geteuid() != 0) return 0;
    all_sizes(true);
    CHECK(munlockall() == 0, "munlockall: %s", strerror(errno));
    CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall: %s", strerror(errno));
    double start = now();
    all_sizes(false);
    void *small[20000];
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < COUNT(small); i++) small[i] = malloc(16 + i % 1000);
        for (size_t i = 0; i < COUNT(small); i++) free(small[i]);
    }
    CHECK(now() - start < 30, "%.1f s with locked memory", now() - start);
}
