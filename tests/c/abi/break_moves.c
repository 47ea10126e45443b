// clause: glibc 3.2.1 | a program that moves the break for itself does no harm
// control: skip musl -- its sbrk refuses every move
// control: skip qemu -- glibc moves the break there
// control: skip -- the heap of glibc lives on the break
// The heap never uses the break, so a program may move it down as well as up, whatever it has
// allocated in between.
#include "../common.h"

int main(void) {
    char *start = sbrk(0);
    static void *block[4000];
    for (int round = 0; round < 3; round++) {
        char *mine = sbrk(256 * 1024);
        CHECK(mine == start, "sbrk gave %p, the break was %p", mine, start);
        memset(mine, 0x55, 256 * KIB);
        for (size_t i = 0; i < COUNT(block); i++) {
            block[i] = malloc(i * 7 + 1);
            CHECK(block[i], "malloc(%zu)", i * 7 + 1);
            paint(block[i], i * 7 + 1, i);
        }
        CHECK(sbrk(0) == start + 256 * KIB, "the heap moved the break to %p", sbrk(0));
        CHECK(sbrk(-256 * 1024) == start + 256 * KIB, "sbrk down");
        for (size_t i = 0; i < COUNT(block); i++) {
            CHECK(painted(block[i], i * 7 + 1, i), "block of %zu", i * 7 + 1);
            free(block[i]);
        }
        CHECK(brk(start) == 0 && sbrk(0) == start, "brk: %s", strerror(errno));
    }
}
