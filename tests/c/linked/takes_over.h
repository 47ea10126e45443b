// A program that is linked with `libralloc.a`: every member of the family is the library's, libc's own calls included; threads
// start and end, processes fork, exit handlers and stdio's last flush allocate.
#include "../common.h"

// Weak: in the control, which is linked without the library, they are null.
__attribute__((weak)) void *ralloc_malloc(size_t);
__attribute__((weak)) void ralloc_free(void *);
__attribute__((weak)) size_t ralloc_malloc_usable_size(void *);

/// That the library knows the block: it ends the process over a pointer that is none of its own.
static void known(void *p) {
    CHECK(p, "no block");
    if (ralloc_malloc_usable_size) CHECK(ralloc_malloc_usable_size(p) == malloc_usable_size(p), "%p is somebody else's", p);
}

static void every_name(void) {
    void *p = NULL;
    known(p = malloc(100)), free(p);
    known(p = calloc(10, 10)), free(p);
    known(p = realloc(NULL, 5000)), known(p = realloc(p, 100000)), free(p);
    known(p = reallocarray(NULL, 30, 30)), free(p);
    known(p = aligned_alloc(64, 640)), free(p);
    known(p = memalign(4096, 10)), free(p);
    known(p = valloc(10)), free(p);
    CHECK(posix_memalign(&p, 256, 300) == 0, "posix_memalign");
    known(p), free(p);
    known(p = strdup("of libc")), free(p);
    char *text = NULL;
    CHECK(asprintf(&text, "%d", 42) == 2, "asprintf");
    known(text);
    free(text);
    known(p = getcwd(NULL, 0)), free(p);
    if (ralloc_malloc) {
        // One allocator under both names.
        free(ralloc_malloc(1000));
        ralloc_free(malloc(1000));
    }
}

static void *in_a_thread(void *unused) {
    uint64_t stream = seed;
    void *block[100] = {0};
    every_name();
    for (int i = 0; i < 20000; i++) {
        size_t at = below(&stream, 100), n = any_size(&stream, i % 500 ? 20 * KIB : 6 * MIB);
        free(block[at]);
        block[at] = i % 2 ? malloc(n) : calloc(1, n);
        CHECK(block[at], "size %zu", n);
        *(char *)block[at] = 1;
    }
    for (size_t i = 0; i < 100; i++) free(block[i]);
    return strdup(unused ? "something" : "nothing");
}

static void last(void) {
    every_name();
    printf("the last line\n");
}

int main(void) {
    every_name();
    for (int round = 0; round < 5; round++) {
        pthread_t thread[6];
        for (int i = 0; i < 6; i++) thread[i] = start_thread(in_a_thread, NULL);
        for (int i = 0; i < 6; i++) free(join_thread(thread[i]));
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            alarm(60);
            free(in_a_thread(NULL));
            free(join_thread(start_thread(in_a_thread, NULL)));
            exit(0);
        }
        await_child(child, "a child");
    }
    atexit(last);
}
