// clause: life | before main, in constructors and .preinit_array
// skip: musl -- with musl, nothing at all is ready in .preinit_array
// Allocation before main: in .preinit_array, which runs before the constructors of every library,
// the allocator's own included; in a constructor; with a thread that is started there.
#include "../common.h"

static void *early[64], *later[64];
static pthread_t thread;

static void fill(void **block) {
    for (size_t i = 0; i < 64; i++) {
        size_t n = (i + 1) * (i + 1) * 10;
        block[i] = i % 3 ? malloc(n) : calloc(n, 1);
        CHECK(block[i], "block of %zu", n);
        paint(block[i], n, i);
    }
}
static void verify(void **block) {
    for (size_t i = 0; i < 64; i++) {
        size_t n = (i + 1) * (i + 1) * 10;
        CHECK(painted(block[i], n, i), "block of %zu", n);
        block[i] = realloc(block[i], n * 2);
        CHECK(block[i] && painted(block[i], n, i), "block of %zu, doubled", n);
    }
}

static void preinit(void) {
    fill(early);
    free(early[5]);
    early[5] = malloc(360);
    paint(early[5], 360, 5);
}
__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(void) = preinit;

static void *in_thread(void *unused) {
    (void)unused;
    verify(early);
    for (size_t i = 0; i < 64; i += 2) free(early[i]);
    return NULL;
}
__attribute__((constructor(101))) static void constructor(void) {
    fill(later);
    thread = start_thread(in_thread, NULL);
}

int main(void) {
    join_thread(thread);
    verify(later);
    for (size_t i = 0; i < 64; i++) {
        free(later[i]);
        if (i % 2) free(early[i]);
    }
}
