// Goes from a block to what the allocator has noted about blocks, as a write that runs on would. Each byte is written with what it holds
// already, so that only a guard ends the program, and no harm that the write has done.
// case: states next-header | small medium | same other | SEGV | -
// case: heaps | small | same | SEGV | -
#include "misuse.h"

/// Chunks begin at multiples of this, with what is known of their blocks; the next chunk may begin where one ends.
#define WINDOW (4 * MIB)
#define SLICE (64 * KIB)
enum { BLOCKS = 65536, CROWD = 40 };

static char *all[BLOCKS];
static size_t count;

static char *run_to;

static uintptr_t window(char *block) { return (uintptr_t)block / WINDOW; }

static void touch(char *at) { *(volatile char *)at = *(volatile char *)at; }

/// From a block up or down to where the run ends.
static void run_on(void *block) {
    char *at = block;
    for (; at < run_to; at++) touch(at);
    for (; at > run_to; at--) touch(at);
}

static void more(size_t bytes) {
    for (size_t got = 0; got < bytes && count < BLOCKS; got += size) all[count++] = fresh();
}

/// By address. Not by `qsort`, which has a large block of its own meanwhile.
static void sort(void) {
    for (size_t step = count / 2; step; step /= 2) {
        for (size_t i = step; i < count; i++) {
            char *block = all[i];
            size_t k = i;
            for (; k >= step && all[k - step] > block; k -= step) all[k] = all[k - step];
            all[k] = block;
        }
    }
}

static pthread_barrier_t barrier;

/// Is known to the allocator until the last has come.
static void *guest(void *nothing) {
    free(fresh());
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return nothing;
}

/// Where two blocks are slices apart lies what is others': from each block in front of such a gap to the one behind, or to the last slice of
/// the window.
static void across_gaps(void *nothing) {
    (void)nothing;
    for (size_t i = 0; i < count; i++) {
        char *end = (char *)((window(all[i]) + 1) * WINDOW - SLICE);
        run_to = i + 1 < count && all[i + 1] < end ? all[i + 1] : end;
        if (run_to > all[i] + 2 * SLICE) run_on(all[i]);
    }
}

static void scene(void) {
    if (is(variant, "heaps")) {
        pthread_t threads[CROWD];
        pthread_barrier_init(&barrier, NULL, CROWD + 1);
        more(MIB);
        for (size_t i = 0; i < CROWD; i++) threads[i] = start_thread(guest, NULL);
        pthread_barrier_wait(&barrier);
        more(2 * MIB);
        sort();
        announce(all[0]);
        commit(across_gaps, NULL);
        pthread_barrier_wait(&barrier);
        for (size_t i = 0; i < CROWD; i++) join_thread(threads[i]);
    } else {
        // More than a chunk: one of the windows is full.
        more(3 * WINDOW);
        sort();
        bool up = is(variant, "next-header");
        CHECK(up || is(variant, "states"), "no variant %s", variant);
        // The block of the longest run of a window that is nearest to the end in question.
        size_t first = 0, best = 0, most = 0;
        for (size_t i = 1; i <= count; i++) {
            if (i < count && window(all[i]) == window(all[first])) continue;
            if (i - first > most) most = i - first, best = up ? i - 1 : first;
            first = i;
        }
        char *block = announce(all[best]);
        run_to = (char *)(window(block) * WINDOW + (up ? WINDOW - 1 : 0));
        commit(run_on, block);
    }
    for (size_t i = 0; i < count; i++) release(all[i]);
    traffic();
}
