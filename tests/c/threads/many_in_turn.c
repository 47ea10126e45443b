// clause: life | 70,000 threads, one after the other
// skip: qemu -- the emulator keeps a megabyte of each thread that has gone
// 70,000 threads, one after the other, as a server has in a day: whatever the library keeps per thread
// it must use again. (16 bits are not enough to number them, either.)
#include "../common.h"

#define THREADS 70000

static void *thread(void *number) {
    void *p = malloc(16 + (size_t)number % 1000), *q = malloc(100);
    CHECK(p && q, "malloc in thread %zu", (size_t)number);
    *(volatile char *)p = 1;
    free(p);
    return q;
}

int main(void) {
    size_t early = 0;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * KIB);
    for (size_t i = 0; i < THREADS; i += 2) {
        pthread_t threads[2];
        for (size_t k = 0; k < 2; k++) {
            int error = pthread_create(&threads[k], &attributes, thread, (void *)(i + k));
            CHECK(error == 0, "pthread_create, thread %zu: %s", i + k, strerror(error));
        }
        for (size_t k = 0; k < 2; k++) free(join_thread(threads[k]));
        if (i == 1000) early = resident();
    }
    CHECK(growth(early, resident()) < 4 * MIB, "grew by %.1f MiB", in_mib(growth(early, resident())));
}
