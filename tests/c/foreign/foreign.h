// Pointers that the library never returned: blocks of the C library's own allocator.
#pragma once
#include "../common.h"
#include <dlfcn.h>

/// Runs a case in a child, and returns how the child ended; `text` is what it said on standard error.
UNUSED int end_of_child(void (*run)(void), char *text, size_t size) {
    int ends[2];
    CHECK(pipe(ends) == 0, "pipe: %s", strerror(errno));
    pid_t child = fork();
    CHECK(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        alarm(60);
        run();
        _exit(0);
    }
    close(ends[1]);
    ssize_t n;
    size_t length = 0;
    while ((n = read(ends[0], text + length, size - 1 - length)) > 0) length += (size_t)n;
    text[length] = 0;
    close(ends[0]);
    int status;
    CHECK(waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
    return status;
}

static struct {
    void *(*take)(size_t), *(*grow)(void *, size_t);
    void (*give)(void *);
    size_t (*usable)(void *);
} libc;

/// The C library's own functions, whoever stands in front of them.
UNUSED void find_libc(void) {
    void *library = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    CHECK(library, "%s", dlerror());
    *(void **)&libc.take = dlsym(library, "malloc");
    *(void **)&libc.grow = dlsym(library, "realloc");
    *(void **)&libc.give = dlsym(library, "free");
    *(void **)&libc.usable = dlsym(library, "malloc_usable_size");
    CHECK(libc.take && libc.grow && libc.give && libc.usable, "libc has no malloc");
}

/// A block of the C library's heap that has more than 4 MiB of that heap in front of it: where an allocator would look for
/// its notes about the block there is memory, full of the letter x.
UNUSED void *block_of_libc(size_t size) {
    uintptr_t first = 0;
    for (;;) {
        char *p = libc.take(100 * KIB);
        CHECK(p, "libc has no memory");
        memset(p, 'x', 100 * KIB);
        if (!first || (uintptr_t)p < first) first = (uintptr_t)p;
        if (((uintptr_t)p & -4 * MIB) > first) break;
    }
    return libc.take(size);
}
