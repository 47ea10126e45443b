// clause: C 7.22.4.7 | functions registered by at_quick_exit allocate and free
// exit: 7
// quick_exit runs its own list and no destructors; other threads are in the middle of their allocations.
#include "../common.h"

static void *kept;

static void *busy(void *unused) {
    (void)unused;
    for (uint64_t stream = seed;;) free(malloc(any_size(&stream, 100 * KIB)));
    return NULL;
}

static void last(void) {
    CHECK(painted(kept, 5000, 1), "a block from before");
    free(kept);
    for (size_t n = 1; n < 4 * MIB; n *= 3) {
        void *p = malloc(n);
        CHECK(p, "malloc(%zu)", n);
        free(p);
    }
}

int main(void) {
    kept = malloc(5000);
    paint(kept, 5000, 1);
    for (int i = 0; i < 3; i++) start_thread(busy, NULL);
    CHECK(at_quick_exit(last) == 0, "at_quick_exit");
    usleep(20000);
    quick_exit(7);
}
