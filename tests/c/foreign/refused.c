// skip: 32-bit -- chunks have another size there
// Pointers that are no blocks: each ends the process with its own line, before anything they lead to is touched. Every case
// runs in a child.
// control: skip -- here libc says something else
// skip: static musl -- the C library's own allocator is out of reach
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// clause: life | pointers that are no blocks end the process with their own line
#include "foreign.h"

static char *from_thread;
static char stack_like[64];

static void *free_from_thread(void *unused) {
    (void)unused;
    free(from_thread);
    return NULL;
}
/// Frees in a thread that does not own the page.
static void remote(void *pointer) {
    from_thread = pointer;
    join_thread(start_thread(free_from_thread, NULL));
}
static char *guarded(void) {
    char *p = mmap(NULL, 64 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED, "mmap: %s", strerror(errno));
    return p + 32 * MIB + 4096;
}
static char *freed(size_t size) {
    // Neighbours keep the memory around it in use.
    void *before = malloc(size), *p = malloc(size), *after = malloc(size);
    CHECK(before && p && after, "no memory");
    free(p);
    return p;
}

static void free_of_libc(void) { free(block_of_libc(100)); }
static void remote_free_of_libc(void) { remote(block_of_libc(100)); }
static void realloc_of_libc(void) { realloc(block_of_libc(100), 200); }
static void size_of_libc(void) { malloc_usable_size(block_of_libc(100)); }
static void size_of_stack(void) {
    char here[64];
    malloc_usable_size(opaque(here + 16));
}
static void realloc_of_static(void) { realloc(stack_like + 16, 10); }
static void realloc_of_forbidden(void) { realloc(guarded(), 10); }
static void size_of_forbidden(void) { malloc_usable_size(guarded()); }
static void size_of_nonsense(void) { malloc_usable_size((void *)0x7fffffffffff0010); }
static void size_of_low(void) { malloc_usable_size((void *)16); }
static void size_of_interior(void) { malloc_usable_size((char *)malloc(100) + 16); }
static void size_of_odd(void) { malloc_usable_size((char *)malloc(100) + 1); }
static void realloc_of_interior(void) { realloc((char *)malloc(1000) + 512, 10); }
static void remote_free_of_interior(void) { remote((char *)malloc(100) + 48); }
static void remote_free_of_odd(void) { remote((char *)malloc(100) + 8); }
static void remote_free_of_medium_interior(void) { remote((char *)malloc(20000) + 4096); }
static void free_of_run_interior(void) { free((char *)malloc(200000) + 16); }
static void free_of_run_slice(void) { free((char *)malloc(200000) + 65536); }
static void size_of_run_interior(void) { malloc_usable_size((char *)malloc(200000) + 65536); }
static void size_of_huge_interior(void) { malloc_usable_size((char *)malloc(9 * MIB) + 16); }
static void free_of_huge_interior(void) {
    char *p = malloc(9 * MIB);
    // What lies at the multiple of 4 MiB is the program's own.
    memset(p, 'x', 9 * MIB);
    free(p + 5 * MIB);
}
static void free_of_huge_chunk(void) { free((char *)malloc(9 * MIB) + 4 * MIB); }
static void size_of_header(void) {
    char *chunk = (char *)((uintptr_t)malloc(16) & -4 * MIB);
    malloc_usable_size(chunk + 4096);
}
/// Behind what is mapped of the first chunk others may map.
static char *behind_the_chunk(void) { return (char *)((uintptr_t)malloc(16) & -4 * MIB) + 4 * MIB - 64 * KIB + 16; }
static void free_behind_the_chunk(void) { free(behind_the_chunk()); }
static void size_behind_the_chunk(void) { malloc_usable_size(behind_the_chunk()); }
static void run_twice(void) { free(freed(200000)); }
static void size_of_freed_run(void) { malloc_usable_size(freed(200000)); }
static void huge_twice(void) { free(freed(9 * MIB)); }
static void realloc_of_freed_huge(void) { realloc(freed(9 * MIB), 10); }

#define FOREIGN "ralloc: foreign pointer: 0x"
#define INTERIOR "ralloc: interior pointer: 0x"
#define INVALID "ralloc: invalid free: 0x"
static const struct {
    const char *name;
    void (*run)(void);
    const char *line;
} cases[] = {
    {"free of libc's block", free_of_libc, FOREIGN},
    {"remote free of libc's block", remote_free_of_libc, FOREIGN},
    {"realloc of libc's block", realloc_of_libc, FOREIGN},
    {"size of libc's block", size_of_libc, FOREIGN},
    {"size of the stack", size_of_stack, FOREIGN},
    {"realloc of a static", realloc_of_static, FOREIGN},
    {"realloc of forbidden memory", realloc_of_forbidden, FOREIGN},
    {"size of forbidden memory", size_of_forbidden, FOREIGN},
    {"size of no address", size_of_nonsense, FOREIGN},
    {"size of a low address", size_of_low, FOREIGN},
    {"size of an interior", size_of_interior, INTERIOR},
    {"size of an odd address", size_of_odd, INTERIOR},
    {"realloc of an interior", realloc_of_interior, INTERIOR},
    {"remote free of an interior", remote_free_of_interior, INTERIOR},
    {"remote free of an odd address", remote_free_of_odd, INTERIOR},
    {"remote free of an interior of medium size", remote_free_of_medium_interior, INTERIOR},
    {"free of an interior of a run", free_of_run_interior, INTERIOR},
    {"free of a later slice of a run", free_of_run_slice, INTERIOR},
    {"size of a later slice of a run", size_of_run_interior, INTERIOR},
    {"size of an interior of a huge block", size_of_huge_interior, INTERIOR},
    {"free of an interior of a huge block", free_of_huge_interior, INTERIOR},
    {"free of a later chunk of a huge block", free_of_huge_chunk, INTERIOR},
    {"size of a chunk's header", size_of_header, INVALID},
    {"free behind the first chunk", free_behind_the_chunk, FOREIGN},
    {"size behind the first chunk", size_behind_the_chunk, FOREIGN},
    {"a run twice", run_twice, INVALID},
    {"size of a freed run", size_of_freed_run, INVALID},
    {"a huge block twice", huge_twice, INVALID},
    {"realloc of a freed huge block", realloc_of_freed_huge, INVALID},
};

int main(void) {
    find_libc();
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[256];
        int status = end_of_child(cases[i].run, text, sizeof text);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s: ended with %#x, saying: %s", cases[i].name,
              (unsigned)status, text);
        const char *end = strchr(text, '\n');
        CHECK(strncmp(text, cases[i].line, strlen(cases[i].line)) == 0 && end && end[1] == 0, "%s: said %s", cases[i].name, text);
    }
}
