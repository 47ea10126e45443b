// skip: qemu -- what is resident is the emulator's
// A thread allocates 256 MiB and goes to sleep; another frees it all. The owner may have to wake up
// to take it back, but then one call is enough. What stays until then is printed, not judged.
#include "../common.h"

#define AMOUNT (256 * MIB)

static void **block;
static size_t blocks;
static pthread_barrier_t barrier;

static void *owner(void *unused) {
    (void)unused;
    uint64_t stream = seed;
    for (size_t sum = 0; sum < AMOUNT; blocks++) {
        size_t size = between(&stream, 50, 1000);
        block[blocks] = malloc(size);
        CHECK(block[blocks], "malloc(%zu)", size);
        memset(block[blocks], 1, size);
        sum += size;
    }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    malloc_trim(0);
    return NULL;
}

int main(void) {
    block = mmap(NULL, AMOUNT / 50 * sizeof *block, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED, "mmap");
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0, "pthread_barrier_init");
    pthread_t thread = start_thread(owner, NULL);
    pthread_barrier_wait(&barrier);
    size_t full = resident();
    for (size_t i = 0; i < blocks; i++) free(block[i]);
    size_t asleep = growth(resident(), full);
    pthread_barrier_wait(&barrier);
    join_thread(thread);
    size_t awake = growth(resident(), full);
    fprintf(stderr, "returned %.1f MiB while the owner slept, %.1f MiB in all\n", in_mib(asleep), in_mib(awake));
    CHECK(awake > AMOUNT - 16 * MIB, "only %.1f MiB of 256 were returned", in_mib(awake));
}
