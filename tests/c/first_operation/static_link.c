// clause: link libralloc.a | in a program that is otherwise dynamic
// link: static
// The library is part of the program, not preloaded: the same names, bound at link time, and
// libc's own calls find them too.
#include "../common.h"

static void *thread(void *number) {
    void *p = malloc(1000 + (size_t)number);
    CHECK(p, "malloc");
    paint(p, 1000, (size_t)number);
    return p;
}

int main(void) {
    void *p = malloc(100), *q = calloc(3, 3 * MIB);
    CHECK(p && q && all_zero(q, 9 * MIB), "malloc and calloc");
    p = realloc(p, 100 * KIB);
    CHECK(p && is_aligned(p, 16), "realloc gave %p", p);
    free(q);
    char *text = NULL;
    CHECK(asprintf(&text, "%d", 12345) == 5 && strcmp(text, "12345") == 0, "asprintf");
    free(text);
    for (size_t i = 0; i < 100; i++) {
        void *block = join_thread(start_thread(thread, (void *)i));
        CHECK(painted(block, 1000, i), "block of thread %zu", i);
        free(block);
    }
    pid_t child = fork();
    CHECK(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        free(p);
        free(malloc(50000));
        _exit(0);
    }
    await_child(child, "after fork");
    free(p);
}
