// clause: life | each function as the first of a process and of a thread
// skip: qemu -- an emulated program cannot start itself again
// Each verb is once the very first call of a process, and once of a thread: the state it finds is
// all zero, and nothing may be assumed to have run before. The program starts itself again for
// each one, as anything that it did itself would spoil the situation.
#include "../common.h"
#include <spawn.h>

extern char **environ;

/// What comes first; a block to go on with, or NULL. `foreign` belongs to another thread, or NULL.
static void *verb(int which, void *foreign) {
    void *p = NULL;
    switch (which) {
    case 0: return malloc(1);
    case 1: return malloc(5000);
    case 2: return malloc(100 * KIB);
    case 3: return malloc(5 * MIB);
    case 4: return calloc(3, 7);
    case 5: return calloc(1, 5 * MIB);
    case 6: return realloc(NULL, 40);
    case 7: return realloc(foreign, 3000);
    case 8: return realloc(foreign, 5 * MIB);
    case 9: return reallocarray(NULL, 5, 5);
    case 10: return aligned_alloc(64, 64);
    case 11: return memalign(64 * KIB, 10);
    case 12: return memalign(8 * MIB, 10);
    case 13: return valloc(1);
    case 14: return pvalloc(1);
    case 15: CHECK(posix_memalign(&p, 4096, 100) == 0, "posix_memalign"); return p;
    case 16: free(NULL); return NULL;
    case 17: free(foreign); return NULL;
    case 18: CHECK(malloc_usable_size(NULL) == 0, "usable size of NULL"); return NULL;
    case 19: CHECK(!foreign || malloc_usable_size(foreign) >= 100, "usable size"); return foreign;
    case 20: malloc_trim(0); return NULL;
    case 21: CHECK(!malloc(SIZE_MAX) && errno == ENOMEM, "malloc(SIZE_MAX)"); return NULL;
    case 22: CHECK(!calloc(SIZE_MAX, 2) && errno == ENOMEM, "calloc"); return NULL;
    case 23: CHECK(posix_memalign(&p, 3, 1) == EINVAL, "posix_memalign(3)"); return NULL;
    case 24: return realloc(foreign, 0);
    case 25: return malloc(0);
    default: return NULL;
    }
}
#define VERBS 26

static void ordinary_life(void *p) {
    if (p) memset(p, 1, malloc_usable_size(p));
    void *q = malloc(100), *r = calloc(10, 1000);
    CHECK(q && r && all_zero(r, 10000), "malloc and calloc");
    q = realloc(q, 20000);
    CHECK(q, "realloc");
    memset(q, 2, 20000);
    free(p);
    free(r);
    free(q);
}

struct first {
    int which;
    void *foreign;
};
static void *in_thread(void *argument) {
    struct first *first = argument;
    ordinary_life(verb(first->which, first->foreign));
    return NULL;
}

static void play(int which, bool thread) {
    if (!thread) {
        ordinary_life(verb(which, NULL));
        return;
    }
    bool wants_block = which == 7 || which == 8 || which == 17 || which == 19 || which == 24;
    struct first first = {which, wants_block ? malloc(100) : NULL};
    join_thread(start_thread(in_thread, &first));
    ordinary_life(NULL);
}

int main(int count, char **argument) {
    if (count == 3) {
        // The process' first call comes before stdio, before anything.
        play((argument[1][0] - '0') * 10 + argument[1][1] - '0', argument[2][0] == 't');
        return 0;
    }
    for (int which = 0; which < VERBS; which++) {
        for (int thread = 0; thread < 2; thread++) {
            char number[] = {(char)('0' + which / 10), (char)('0' + which % 10), 0};
            char *arguments[] = {argument[0], number, thread ? "thread" : "process", NULL};
            pid_t child;
            int error = posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ);
            CHECK(error == 0, "posix_spawn: %s", strerror(error));
            char when[40];
            snprintf(when, sizeof when, "verb %d first in a %s", which, arguments[2]);
            await_child(child, when);
        }
    }
}
