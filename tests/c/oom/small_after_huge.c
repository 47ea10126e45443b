// clause: glibc 3.2.3.1 | a refusal is not the end: smaller requests succeed
// skip: qemu -- limits are those of the emulator
// skip: 32-bit -- a request of 1 TiB cannot be expressed
// A refusal of something absurd is not exhaustion: a program that asks for 1 TiB, is told no, and
// goes on with small blocks gets them, at once and as many as before; and asking costs nothing.
#include "exhaust.h"

int main(void) {
    limit_memory(RLIMIT_AS, address_space(), ALLOWANCE);
    size_t first = 0;
    release(hoard(300, &first));
    size_t before = resident();
    for (int i = 0; i < 20000; i++) {
        size_t n = i % 3 == 0 ? (size_t)1 << 40 : i % 3 == 1 ? 300 * MIB : SIZE_MAX / 4;
        errno = 0;
        void *no = i % 2 ? malloc(n) : memalign(64 * KIB, n);
        CHECK(!no && errno == ENOMEM, "%zu bytes: %p, errno %d", n, no, errno);
        void *yes = malloc(16 + (size_t)i % 5000);
        CHECK(yes, "a small block after a refused one");
        memset(yes, 1, 16);
        free(yes);
    }
    CHECK(growth(before, resident()) < 24 * MIB, "refusals cost %.1f MiB", in_mib(growth(before, resident())));
    size_t second = 0;
    struct hoard *all = hoard(300, &second);
    verify(all);
    release(all);
    CHECK(second >= first / 10 * 9, "%.1f MiB at first, %.1f after the refusals", in_mib(first), in_mib(second));
}
