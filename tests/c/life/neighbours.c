// clause: life | the program maps, moves and unmaps memory of its own between the allocator's
// The address space is shared. The program puts mappings into every gap near blocks, takes them away while the allocator is at
// work, and grows its own with mremap; nobody may lose anything.
#include "../common.h"

static atomic_bool stop;

static void *allocate(void *which) {
    uint64_t stream = seed + (size_t)which;
    void *block[40] = {0};
    size_t size[40];
    while (!stop) {
        size_t i = below(&stream, COUNT(block));
        if (block[i]) CHECK(painted(block[i], size[i], i), "a block of %zu", size[i]);
        if (block[i] && below(&stream, 2)) {
            size_t n = any_size(&stream, 12 * MIB), kept = n < size[i] ? n : size[i];
            block[i] = realloc(block[i], n);
            CHECK(block[i] && prefix_painted(block[i], kept < DENSE ? kept : DENSE, i), "realloc to %zu", n);
            size[i] = n;
        } else {
            free(block[i]);
            size[i] = any_size(&stream, 6 * MIB);
            block[i] = malloc(size[i]);
            CHECK(block[i], "malloc(%zu)", size[i]);
        }
        paint(block[i], size[i], i);
    }
    for (size_t i = 0; i < COUNT(block); i++) free(block[i]);
    return NULL;
}

int main(void) {
    pthread_t thread[2];
    for (size_t i = 0; i < 2; i++) thread[i] = start_thread(allocate, (void *)i);
    uint64_t stream = seed;
    struct { char *at; size_t size; } mine[60] = {0};
    for (double end = now() + patience(3); now() < end;) {
        size_t i = below(&stream, COUNT(mine)), n = between(&stream, 1, 300) * 4096;
        if (!mine[i].at) {
            char *hint = malloc(any_size(&stream, 3 * MIB));
            free(hint);
            hint = (char *)((uintptr_t)hint & ~(uintptr_t)4095) + n * (below(&stream, 3) - 1);
            char *p = mmap(hint, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (p == MAP_FAILED) continue;
            CHECK(all_zero(p, n), "a fresh mapping");
            memset(p, 7, n);
            mine[i].at = p, mine[i].size = n;
        } else if (below(&stream, 2)) {
            char *p = mremap(mine[i].at, mine[i].size, n, MREMAP_MAYMOVE);
            if (p == MAP_FAILED) continue;
            CHECK(p[0] == 7 && p[(n < mine[i].size ? n : mine[i].size) - 1] == 7, "mremap");
            memset(p, 7, n);
            mine[i].at = p, mine[i].size = n;
        } else {
            for (size_t k = 0; k < mine[i].size; k++) CHECK(mine[i].at[k] == 7, "the program's mapping");
            munmap(mine[i].at, mine[i].size);
            mine[i].at = NULL;
        }
    }
    stop = true;
    for (size_t i = 0; i < 2; i++) join_thread(thread[i]);
}
