// skip: qemu -- what is resident is the emulator's
// realloc to a smaller size gives the rest back, of large blocks and of huge ones: it becomes useful to
// others, or goes to the system. (Of small blocks nobody expects it.)
#include "../common.h"

#define BLOCKS 64

int main(void) {
    static char *block[BLOCKS], *other[BLOCKS];
    size_t from[] = {256 * KIB, 1 * MIB, 2 * MIB, 3 * MIB, 5 * MIB}, to = 70 * KIB;
    size_t before = resident();
    // Twice: the second time the program has had as much before, and an allocator may expect it to want it again.
    for (size_t turn = 0; turn < 2 * COUNT(from); turn++) {
        size_t i = turn % COUNT(from);
        for (size_t k = 0; k < BLOCKS; k++) {
            block[k] = malloc(from[i]);
            CHECK(block[k], "malloc(%zu)", from[i]);
            memset(block[k], (int)k, from[i]);
        }
        for (size_t k = 0; k < BLOCKS; k++) {
            block[k] = realloc(block[k], to);
            CHECK(block[k] && block[k][0] == (char)k && block[k][to - 1] == (char)k, "realloc from %zu", from[i]);
        }
        // What is needed, the same again to be found in what was given back, and what may lie idle: a few
        // MiB, or an eighth of what was in use.
        for (size_t k = 0; k < BLOCKS; k++) {
            other[k] = malloc(to);
            CHECK(other[k], "malloc");
            memset(other[k], 1, to);
        }
        size_t more = growth(before, resident()), needed = 2 * BLOCKS * 128 * KIB;
        CHECK(more < needed + 16 * MIB + BLOCKS * from[i] / 8, "from %zu KiB: %.1f MiB for %.1f", from[i] / KIB, in_mib(more), in_mib(needed));
        for (size_t k = 0; k < BLOCKS; k++) {
            CHECK(block[k][0] == (char)k && block[k][to - 1] == (char)k, "contents, from %zu", from[i]);
            free(block[k]);
            free(other[k]);
        }
    }
}
