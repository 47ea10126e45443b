// clause: POSIX pthread_attr_setstacksize | stacks of PTHREAD_STACK_MIN are enough
// Threads with the smallest stack that there is (16 KiB, of which libc takes its thread-local
// storage, ours included): every verb has to do with what is left, on its slowest path too.
#include "../common.h"

static void *thread(void *number) {
    uint64_t stream = seed + (size_t)number;
    for (int round = 0; round < 30; round++) {
        void *block[40];
        for (size_t i = 0; i < COUNT(block); i++) {
            size_t n = any_size(&stream, i % 10 ? 40 * KIB : 4 * MIB);
            switch (i % 5) {
            case 0: block[i] = calloc(1, n); break;
            case 1: block[i] = realloc(malloc(n / 3 + 1), n); break;
            case 2: block[i] = memalign(64 << i % 13, n); break;
            default: block[i] = malloc(n);
            }
            CHECK(block[i], "way %zu, size %zu", i % 5, n);
            *(volatile char *)block[i] = 1;
        }
        for (size_t i = 0; i < COUNT(block); i++) free(block[i]);
        if (round % 10 == 0) malloc_trim(0);
    }
    return NULL;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) == 0, "stack size");
    for (size_t t = 0; t < 100; t += 4) {
        pthread_t threads[4];
        for (size_t k = 0; k < 4; k++) {
            int error = pthread_create(&threads[k], &attributes, thread, (void *)(t + k));
            CHECK(error == 0, "pthread_create: %s", strerror(error));
        }
        for (size_t k = 0; k < 4; k++) join_thread(threads[k]);
    }
}
