// purge=eager: what is freed is given back at once.
// env: RALLOC_OPTIONS=purge=eager
// control: skip -- this libc keeps some of it
// skip: qemu -- what is resident is the emulator's
#include "../common.h"

static void round_of(size_t size, size_t count) {
    static void *block[4096];
    size_t before = resident();
    for (size_t i = 0; i < count; i++) {
        block[i] = malloc(size);
        memset(block[i], 1, size);
    }
    CHECK(growth(before, resident()) > size * count * 9 / 10, "%zu: never there", size);
    for (size_t i = 0; i < count; i++) free(block[i]);
    size_t more = growth(before, resident());
    CHECK(more < 512 * KIB, "%zu: %.2f MiB are still there", size, in_mib(more));
}

/// What the allocator needs for itself comes with the first block, if not before main: a static program's C library allocates there, as
/// much as LD_LIBRARY_PATH is long.
static void first_block(void) { free(malloc(100)); }

int main(void) {
    first_block();
    for (int i = 0; i < 3; i++) {
        round_of(300 * KIB, 20);
        round_of(64 * KIB, 64);
        round_of(7 * MIB, 2);
        round_of(4 * KIB, 1024);
        round_of(20000, 300);
    }
}
