// clause: C 7.13.2.1 | longjmp out of callbacks of libc that hold blocks
// clause: POSIX siglongjmp | out of a signal handler that did not interrupt an allocation
// A jump leaves qsort and nftw in the middle, with what they have allocated; that is lost, and nothing else.
#include "../common.h"
#include <setjmp.h>

static sigjmp_buf back;
static size_t calls;

static int by_value(const void *a, const void *b) {
    if (++calls == 5000) siglongjmp(back, 1);
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void jump(int signal) { siglongjmp(back, signal); }

int main(void) {
    static uint64_t value[20000];
    uint64_t stream = seed;
    signal(SIGUSR1, jump);
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < COUNT(value); i++) value[i] = draw(&stream);
        calls = 0;
        void *volatile p = malloc(1000);
        paint(p, 1000, 1);
        if (!sigsetjmp(back, 1)) {
            qsort(value, COUNT(value), sizeof *value, by_value);
            CHECK(false, "qsort came to its end");
        }
        if (!sigsetjmp(back, 1)) {
            raise(SIGUSR1);
            CHECK(false, "the handler returned");
        }
        CHECK(painted(p, 1000, 1), "a block from before the jumps");
        p = realloc(p, 100000);
        CHECK(p && prefix_painted(p, 1000, 1), "realloc after the jumps");
        free(p);
    }
}
