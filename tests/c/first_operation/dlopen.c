// clause: life | libraries come and go: dlopen, dlclose
// skip: static -- nothing can be opened
// Libraries come and go: the loader allocates for them (and the thread-local blocks of living
// threads grow), their constructors allocate, their destructors free.
#include "../common.h"
#include <dlfcn.h>

static atomic_bool stop;

static void *busy(void *unused) {
    (void)unused;
    uint64_t stream = seed;
    void *mine[64] = {0};
    while (!stop) {
        size_t i = below(&stream, COUNT(mine));
        free(mine[i]);
        mine[i] = malloc(any_size(&stream, 16 * KIB));
        CHECK(mine[i], "malloc");
    }
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    return NULL;
}

int main(void) {
    // The second has constructors that allocate, and thread-local variables; either may be missing.
    const char *const names[] = {"libm.so.6", "libstdc++.so.6", "libresolv.so.2", "libgomp.so.1"};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) threads[i] = start_thread(busy, NULL);
    for (int round = 0; round < 50; round++) {
        void *handle[COUNT(names)];
        for (size_t i = 0; i < COUNT(names); i++) handle[i] = dlopen(names[i], RTLD_NOW);
        CHECK(!dlopen("no-such-library.so", RTLD_NOW) && dlerror(), "dlopen of nothing");
        for (size_t i = 0; i < COUNT(names); i++) {
            if (handle[i]) CHECK(dlclose(handle[i]) == 0, "dlclose of %s", names[i]);
        }
    }
    stop = true;
    for (int i = 0; i < 2; i++) join_thread(threads[i]);
}
