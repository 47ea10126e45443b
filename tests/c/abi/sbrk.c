// clause: glibc 3.2.1 | what sbrk gave belongs to the program alone
// skip: qemu -- the emulator maps where the break would go
// control: skip musl -- its sbrk refuses every move
// The break serves a program that uses it beside malloc: what sbrk gave is its own, contiguous when
// nobody else moves it, and no block of the heap lies in it.
#include "../territory.h"

int main(void) {
    territory_open();
    char *start = sbrk(0);
    CHECK(start != (void *)-1, "sbrk(0): %s", strerror(errno));
    char *first = sbrk(64 * 1024);
    CHECK(first == start, "sbrk gave %p, the break was %p", first, start);
    CHECK(sbrk(0) == first + 64 * KIB, "break %p after %p + 64 KiB", sbrk(0), first);
    CLAIM(first, 64 * KIB);
    paint(first, 64 * KIB, 1);

    static void *block[3000];
    for (size_t i = 0; i < COUNT(block); i++) {
        size_t n = 1 + i * i % 30000;
        block[i] = malloc(n);
        CHECK(block[i], "malloc(%zu)", n);
        CLAIM(block[i], n);
        paint(block[i], n, i);
    }
    char *second = sbrk(1024 * 1024);
    CHECK(second != (void *)-1, "sbrk: %s", strerror(errno));
    CLAIM(second, MIB);
    paint(second, MIB, 2);
    for (size_t i = 0; i < COUNT(block); i++) {
        size_t n = 1 + i * i % 30000;
        CHECK(painted(block[i], n, i), "block %zu", i);
        DISCLAIM(block[i], n);
        free(block[i]);
    }
    CHECK(painted(first, 64 * KIB, 1) && painted(second, MIB, 2), "contents below the break");
    CHECK(brk(second + MIB + 4096) == 0, "brk: %s", strerror(errno));
    CHECK(sbrk(0) == second + MIB + 4096, "break %p", sbrk(0));
    memset(second + MIB, 1, 4096);
}
