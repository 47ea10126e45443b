// Programs with one fault each, run by name: what memcheck says of each on the library must be what it says of it on the system's
// malloc. `xtask/src/memcheck.rs` runs them; without a name it prints all names.

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))

static volatile char sink;
static void *volatile kept;

// A pointer that the compiler knows nothing of.
static APART char *opaque(void *p) {
    void *volatile copy = p;
    return copy;
}

// Overwrites what calls have left on the stack and in registers.
static APART void scrub(void) {
    volatile char stack[16384];
    for (size_t i = 0; i < sizeof stack; i++) stack[i] = 0;
}

static APART void lose(size_t size) { memset(opaque(malloc(size)), 1, size); }

static APART void leak_small(void) { lose(10); }
static APART void leak_medium(void) { lose(5000); }
static APART void leak_large(void) { lose(100000); }
static APART void leak_huge(void) { lose(5000000); }
static APART void leak_many(void) {
    for (int i = 0; i < 100; i++) lose(24);
}
static APART void leak_calloc(void) { sink = *opaque(calloc(3, 11)); }
static APART void leak_realloc(void) { memset(opaque(realloc(opaque(malloc(10)), 300)), 1, 300); }
static APART void leak_aligned(void) {
    void *p = NULL;
    if (posix_memalign(&p, 256, 70) == 0) memset(opaque(p), 1, 70);
}
static APART void leak_list(void) {
    void **first = NULL;
    for (int i = 0; i < 5; i++) {
        void **node = (void **)opaque(malloc(32));
        *node = first;
        first = node;
    }
}
static APART void leak_reachable(void) { kept = malloc(77); }
static APART void leak_interior(void) { kept = (char *)malloc(77) + 20; }
static APART void leak_inside_reachable(void) {
    void **outer = (void **)opaque(malloc(64));
    outer[3] = malloc(33);
    kept = outer;
}

static APART void read_past_end(size_t size) {
    char *p = opaque(malloc(size));
    memset(p, 1, size);
    sink = p[size];
    free(p);
}
static APART void read_past_small(void) { read_past_end(10); }
static APART void read_past_medium(void) { read_past_end(5001); }
static APART void read_past_large(void) { read_past_end(100001); }
static APART void read_past_huge(void) { read_past_end(5000001); }
static APART void read_past_nothing(void) { read_past_end(0); }
static APART void read_before(void) {
    char *p = opaque(malloc(40));
    sink = p[-1];
    free(p);
}
static APART void read_past_calloc(void) {
    char *p = opaque(calloc(4, 25));
    sink = p[100];
    free(p);
}
static APART void read_past_aligned(void) {
    char *p = opaque(aligned_alloc(64, 100));
    p[0] = 1;
    sink = p[101];
    free(p);
}
static APART void write_past_small(void) {
    volatile char *p = opaque(malloc(24));
    p[24] = 1;
    free((void *)p);
}
static APART void write_past_word(void) {
    volatile int *p = (int *)opaque(malloc(10));
    p[2] = 1;
    free((void *)p);
}
static APART void write_past_large(void) {
    volatile char *p = opaque(malloc(70000));
    p[70003] = 1;
    free((void *)p);
}
static APART void write_past_shrunk(void) {
    volatile char *p = opaque(realloc(opaque(malloc(100)), 50));
    p[50] = 1;
    free((void *)p);
}
static APART void copy_past_end(void) {
    char *p = opaque(malloc(8));
    for (int i = 0; i < 10; i++) p[i] = "ninebytes"[i];
    free(p);
}

static APART void branch_uninitialised(void) {
    char *p = opaque(malloc(50));
    if (p[7] == 3) sink = 1;
    free(p);
}
static APART void branch_uninitialised_reused(void) {
    char *p = opaque(malloc(50));
    memset(p, 3, 50);
    free(p);
    p = opaque(malloc(50));
    if (p[7] == 3) sink = 1;
    free(p);
}
static APART void branch_uninitialised_grown(void) {
    char *p = opaque(calloc(1, 20));
    p = opaque(realloc(p, 40));
    if (p[10] == 3) sink = 1;
    if (p[30] == 3) sink = 1;
    free(p);
}
static APART void branch_uninitialised_large(void) {
    char *p = opaque(malloc(200000));
    if (p[150000] == 3) sink = 1;
    free(p);
}
static APART void branch_uninitialised_huge(void) {
    char *p = opaque(malloc(6000000));
    if (p[3000000] == 3) sink = 1;
    free(p);
}
static APART void write_uninitialised(void) {
    char *p = opaque(malloc(16));
    int pipes[2];
    if (pipe(pipes) == 0 && write(pipes[1], p, 16) != 16) sink = 1;
    free(p);
}

static APART void use_after_free(size_t size, int write) {
    char *p = opaque(malloc(size));
    memset(p, 1, size);
    free(p);
    if (write) p[size / 2] = 2;
    else sink = p[size / 2];
}
static APART void read_freed_small(void) { use_after_free(30, 0); }
static APART void read_freed_medium(void) { use_after_free(9000, 0); }
static APART void read_freed_large(void) { use_after_free(150000, 0); }
static APART void write_freed_small(void) { use_after_free(30, 1); }
static APART void read_freed_and_others(void) {
    char *p = opaque(malloc(30));
    free(p);
    for (int i = 0; i < 10; i++) free(opaque(malloc(30)));
    sink = p[0];
}
static APART void read_reallocated(void) {
    char *p = opaque(malloc(30));
    char *q = opaque(realloc(p, 31));
    sink = p[0];
    free(q);
}
static void *release(void *p) {
    free(p);
    return NULL;
}
static APART void read_freed_by_another(void) {
    pthread_t thread;
    char *p = opaque(calloc(1, 30));
    if (pthread_create(&thread, NULL, release, p) == 0) pthread_join(thread, NULL);
    sink = p[4];
}

static APART void free_twice(void) {
    char *p = opaque(malloc(30));
    free(p);
    free(opaque(p));
}
static APART void free_twice_between(void) {
    char *p = opaque(malloc(30)), *q = opaque(malloc(30));
    free(p);
    free(q);
    free(opaque(p));
}
static APART void free_twice_large(void) {
    char *p = opaque(malloc(300000));
    free(p);
    free(opaque(p));
}
static APART void free_interior(void) {
    char *p = opaque(malloc(64));
    free(opaque(p + 16));
    free(p);
}

static const struct {
    const char *name;
    void (*run)(void);
} faults[] = {
#define FAULT(name) {#name, name}
    FAULT(leak_small), FAULT(leak_medium), FAULT(leak_large), FAULT(leak_huge), FAULT(leak_many),
    FAULT(leak_calloc), FAULT(leak_realloc), FAULT(leak_aligned), FAULT(leak_list),
    FAULT(leak_reachable), FAULT(leak_interior), FAULT(leak_inside_reachable),
    FAULT(read_past_small), FAULT(read_past_medium), FAULT(read_past_large), FAULT(read_past_huge),
    FAULT(read_past_nothing), FAULT(read_before), FAULT(read_past_calloc), FAULT(read_past_aligned),
    FAULT(write_past_small), FAULT(write_past_word), FAULT(write_past_large),
    FAULT(write_past_shrunk), FAULT(copy_past_end),
    FAULT(branch_uninitialised), FAULT(branch_uninitialised_reused),
    FAULT(branch_uninitialised_grown), FAULT(branch_uninitialised_large),
    FAULT(branch_uninitialised_huge), FAULT(write_uninitialised),
    FAULT(read_freed_small), FAULT(read_freed_medium), FAULT(read_freed_large),
    FAULT(write_freed_small), FAULT(read_freed_and_others), FAULT(read_reallocated),
    FAULT(read_freed_by_another),
    FAULT(free_twice), FAULT(free_twice_between), FAULT(free_twice_large), FAULT(free_interior),
};

int main(int count, char **words) {
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        if (count < 2) puts(faults[i].name);
        else if (strcmp(words[1], faults[i].name) == 0) faults[i].run();
    }
    scrub();
    return 0;
}
