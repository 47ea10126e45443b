// clause: life | the limit on the number of mappings (vm.max_map_count)
// skip: qemu -- limits are those of the emulator
// skip: 32-bit -- the address space is used up first
// Not the memory but the number of mappings runs out (vm.max_map_count): mmap fails, and so do munmap
// and mprotect in the middle of a mapping, mremap, perhaps madvise. Allocations may be refused; what
// is handed out is sound, frees succeed, and afterwards all is as before.
#include "exhaust.h"

static char *quilt;
static size_t patches;

/// Uses up the mappings: in an area of our own, every other page becomes one of its own.
static void use_up(size_t leave) {
    size_t most = 400000;
    quilt = mmap(NULL, most * 4 * KIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(quilt != MAP_FAILED, "mmap: %s", strerror(errno));
    for (patches = 0; patches < most; patches += 2) {
        if (mprotect(quilt + patches * 4 * KIB, 4 * KIB, PROT_NONE) != 0) break;
    }
    if (patches < most) CHECK(errno == ENOMEM, "mprotect: %s", strerror(errno));
    munmap(quilt + (patches - leave) * 4 * KIB, leave * 4 * KIB);
}

int main(void) {
    uint64_t stream = seed;
    static struct { void *block; size_t size; } held[3000];
    // Some with nothing left, some with a few to spare, so that it fails in various places.
    for (size_t leave = 2; leave <= 64; leave = leave * 2) {
        for (int phase = 0; phase < 3; phase++) {
            if (phase == 1) use_up(leave);
            if (phase == 2) munmap(quilt, 400000 * 4 * KIB);
            size_t refused = 0;
            for (int turn = 0; turn < 6000; turn++) {
                size_t i = below(&stream, COUNT(held));
                if (held[i].block) CHECK(painted(held[i].block, held[i].size, i), "block of %zu", held[i].size);
                size_t n = any_size(&stream, turn % 40 ? 8 * KIB : 9 * MIB);
                errno = 0;
                if (below(&stream, 3) == 0) {
                    void *p = realloc(held[i].block, n);
                    if (p) {
                        held[i].block = p;
                        held[i].size = n;
                    } else {
                        CHECK(errno == ENOMEM, "realloc to %zu left errno %d", n, errno);
                        if (held[i].block) CHECK(painted(held[i].block, held[i].size, i), "refused realloc");
                        refused++;
                    }
                } else {
                    free(held[i].block);
                    held[i].block = below(&stream, 4) ? malloc(n) : memalign(16 << below(&stream, 12), n);
                    held[i].size = n;
                    if (!held[i].block) {
                        CHECK(errno == ENOMEM, "size %zu left errno %d", n, errno);
                        refused++;
                    }
                }
                if (held[i].block) paint(held[i].block, held[i].size, i);
            }
            if (phase != 1) CHECK(refused == 0, "phase %d: %zu refusals", phase, refused);
        }
    }
    for (size_t i = 0; i < COUNT(held); i++) {
        if (held[i].block) CHECK(painted(held[i].block, held[i].size, i), "block of %zu", held[i].size);
        free(held[i].block);
    }
}
