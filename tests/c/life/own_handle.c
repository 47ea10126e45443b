// clause: link dlopen | loaded into a running program, under the names with a prefix, beside the program's own malloc
// clause: life | dlopen of the library while threads run, and dlclose
// skip: musl -- its loader opens no library with thread-local storage of the initial-exec model
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// skip: static -- nothing can be opened
// link: dlopen
// control: skip -- there is no library to load
// The program has a malloc already and keeps it. It opens the library, whose thread-local storage must find room in threads that
// exist, allocates from it in several threads, hands blocks to others, forks, and closes it; threads that have used it end later.
#include "../common.h"
#include <dlfcn.h>

static void *(*take)(size_t), *(*clear)(size_t, size_t), *(*resize)(void *, size_t), *(*aligned)(size_t, size_t);
static void (*give)(void *);
static size_t (*usable)(void *);
static pthread_barrier_t loaded, closed;

static void *use(void *unused) {
    uint64_t stream = seed;
    void *block[100] = {0}, *mine[100] = {0};
    size_t size[100];
    for (int i = 0; i < 10000; i++) {
        size_t at = below(&stream, 100);
        if (block[at]) CHECK(painted(block[at], size[at], at), "a block of the library");
        if (block[at] && i % 3 == 0) {
            size_t n = any_size(&stream, 50 * KIB);
            block[at] = resize(block[at], n);
            CHECK(block[at] && prefix_painted(block[at], n < size[at] ? n : size[at], at), "realloc");
            size[at] = n;
        } else {
            give(block[at]);
            size[at] = any_size(&stream, i % 500 ? 10 * KIB : 5 * MIB);
            block[at] = i % 5 == 0 ? clear(1, size[at]) : i % 7 == 0 ? aligned(64, size[at]) : take(size[at]);
            CHECK(block[at] && usable(block[at]) >= size[at], "size %zu", size[at]);
        }
        paint(block[at], size[at], at);
        free(mine[at]);
        mine[at] = malloc(size[at] % 3000);
        CHECK(mine[at], "the program's own malloc");
        memset(mine[at], 1, size[at] % 3000);
    }
    for (size_t i = 0; i < 100; i++) give(block[i]), free(mine[i]);
    return unused;
}

static void *early(void *unused) {
    free(malloc(100));
    pthread_barrier_wait(&loaded);
    use(NULL);
    pthread_barrier_wait(&closed);
    pthread_barrier_wait(&closed);
    return unused;
}

static void *named(void *library, const char *name) {
    void *address = dlsym(library, name);
    CHECK(address, "no %s: %s", name, dlerror());
    return address;
}

int main(void) {
    const char *path = getenv("RALLOC_LIB");
    CHECK(path, "RALLOC_LIB is not set");
    pthread_barrier_init(&loaded, NULL, 4);
    pthread_barrier_init(&closed, NULL, 4);
    pthread_t thread[3];
    for (int i = 0; i < 3; i++) thread[i] = start_thread(early, NULL);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library, "dlopen: %s", dlerror());
    take = named(library, "ralloc_malloc");
    clear = named(library, "ralloc_calloc");
    resize = named(library, "ralloc_realloc");
    aligned = named(library, "ralloc_aligned_alloc");
    give = named(library, "ralloc_free");
    usable = named(library, "ralloc_malloc_usable_size");
    Dl_info home;
    CHECK(dladdr((void *)(uintptr_t)malloc_usable_size, &home) && !strstr(home.dli_fname, "ralloc"), "%s", home.dli_fname);
    pthread_barrier_wait(&loaded);
    use(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        use(NULL);
        run_threads(2, use);
        _exit(0);
    }
    await_child(child, "a child");
    pthread_barrier_wait(&closed);
    CHECK(dlclose(library) == 0, "dlclose");
    // Threads that have a heap in it end now.
    pthread_barrier_wait(&closed);
    for (int i = 0; i < 3; i++) join_thread(thread[i]);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library && dlsym(library, "ralloc_malloc"), "dlopen again: %s", dlerror());
    void *p = ((void *(*)(size_t))dlsym(library, "ralloc_malloc"))(1000);
    CHECK(p, "after dlclose and dlopen");
    child = fork();
    if (child == 0) _exit(0);
    await_child(child, "a child after dlclose");
}
