// clause: glibc 3.2.3.10 | malloc_trim says 1 when it gave something back, and changes no block
// malloc_trim gives back what is free and touches nothing else, however often and whenever it is
// called; it says 1 when it gave something back, 0 when not.
#include "../common.h"

int main(void) {
    uint64_t stream = seed;
    static struct { void *block; size_t size; } live[4000];
    int gave = 0;
    for (int round = 0; round < 60; round++) {
        for (size_t i = 0; i < COUNT(live); i++) {
            if (below(&stream, 3)) continue;
            if (live[i].block) CHECK(painted(live[i].block, live[i].size, i), "block %zu", i);
            free(live[i].block);
            live[i].block = NULL;
            if (below(&stream, 2)) continue;
            live[i].size = any_size(&stream, round % 8 ? 8 * KIB : 300 * KIB);
            live[i].block = malloc(live[i].size);
            CHECK(live[i].block, "malloc(%zu)", live[i].size);
            paint(live[i].block, live[i].size, i);
        }
        int result = malloc_trim(round % 5 ? 0 : 64 * KIB);
        CHECK(result == 0 || result == 1, "malloc_trim gave %d", result);
        gave += result;
        for (size_t i = 0; i < COUNT(live); i++) {
            if (live[i].block) CHECK(painted(live[i].block, live[i].size, i), "block %zu after trim", i);
        }
    }
    for (size_t i = 0; i < COUNT(live); i++) free(live[i].block);
    malloc_trim(0);
    void *big = malloc(24 * MIB);
    CHECK(big, "malloc(24 MiB)");
    memset(big, 1, 24 * MIB);
    free(big);
    for (int i = 0; i < 1000; i++) malloc_trim(0);
    CHECK(malloc_trim(SIZE_MAX) <= 1, "malloc_trim(SIZE_MAX)");
}
