// Only the largest: mappings made, grown in place, moved and given back by several threads at the same
// time, at alignments up to 64 MiB. While one thread moves pages, the kernel may give their old place
// to another; whoever gets it must get all of it, zero where zero was promised.
#include "../territory.h"

#define THREADS 4
#define SLOTS 10
#define SECONDS 5

static double deadline;

static size_t a_size(uint64_t *stream) {
    size_t edge = 4 * MIB * between(stream, 1, 6);
    switch (below(stream, 4)) {
    case 0: return edge + between(stream, 0, 2) - 1;
    case 1: return between(stream, 1 * MIB, 5 * MIB);
    case 2: return between(stream, 60, 66) * 32 * KIB;
    default: return between(stream, 2 * MIB, 24 * MIB);
    }
}

static void *work(void *number) {
    uint64_t stream = seed * 64 + (size_t)number;
    struct { void *block; size_t size; uint64_t tag; } slot[SLOTS] = {0};
    while (now() < deadline) {
        size_t k = below(&stream, SLOTS), n = a_size(&stream);
        uint64_t tag = draw(&stream);
        if (slot[k].block) {
            CHECK(painted(slot[k].block, slot[k].size, slot[k].tag), "block of %zu", slot[k].size);
            DISCLAIM(slot[k].block, slot[k].size);
        }
        switch (below(&stream, 5)) {
        case 0:
            free(slot[k].block);
            slot[k].block = calloc(1, n);
            CHECK(slot[k].block && all_zero(slot[k].block, n), "calloc of %zu", n);
            break;
        case 1:
            free(slot[k].block);
            size_t alignment = 2 * MIB << below(&stream, 6);
            slot[k].block = memalign(alignment, n);
            CHECK(slot[k].block && is_aligned(slot[k].block, alignment), "memalign(%zu)", alignment);
            break;
        case 2:
            free(slot[k].block);
            slot[k].block = malloc(n);
            break;
        default:
            if (!slot[k].block) slot[k].size = 0;
            slot[k].block = realloc(slot[k].block, n);
            CHECK(slot[k].block && prefix_painted(slot[k].block, n < slot[k].size ? n : slot[k].size, slot[k].tag),
                  "realloc from %zu to %zu", slot[k].size, n);
        }
        CHECK(slot[k].block, "%zu bytes", n);
        CLAIM(slot[k].block, n);
        slot[k].size = n;
        slot[k].tag = tag;
        paint(slot[k].block, n, tag);
    }
    for (size_t k = 0; k < SLOTS; k++) {
        // The others are still at it, and may get these addresses at once.
        if (slot[k].block) DISCLAIM(slot[k].block, slot[k].size);
        free(slot[k].block);
    }
    return NULL;
}

int main(void) {
    territory_open();
    size_t start = address_space();
    deadline = now() + patience(SECONDS);
    run_threads(THREADS, work);
    malloc_trim(0);
    // Under an emulator, with the emulator's own.
    size_t more = is_emulated() ? 0 : growth(start, address_space());
    fprintf(stderr, "address space: %.1f MiB more than at the start\n", in_mib(more));
    // Four stacks of 8 MiB and, where there are such, heaps of 64 MiB reserved per thread.
    CHECK(more < 640 * MIB, "%.1f MiB of address space were lost", in_mib(more));
}
