// A pointer of another allocator, and nothing is mapped at the multiple of a chunk's size in front of it, where free looks first.
// Whoever says what is to become of foreign pointers has it recognised there too; every case runs in a child.
// env: RALLOC_OPTIONS=foreign=abort
// control: skip -- here libc says something else
// skip: musl-dynamic -- its loader allocates before the option can be read
// clause: life | a pointer that leads to a place with nothing in front of it is recognised where RALLOC_OPTIONS names foreign=
#include "foreign.h"
#include <stddef.h>

/// An OS page with nothing mapped in the 8 MiB around it.
static char *island(int rights) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *all = mmap(NULL, 16 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(all != MAP_FAILED, "mmap: %s", strerror(errno));
    char *base = (char *)(((uintptr_t)all + 8 * MIB) & -(4 * MIB)) + 3 * 64 * KIB;
    CHECK(munmap(all, (size_t)(base - all)) == 0, "munmap: %s", strerror(errno));
    CHECK(munmap(base + page, (size_t)(all + 16 * MIB - base - (ptrdiff_t)page)) == 0, "munmap: %s", strerror(errno));
    CHECK(mprotect(base, page, rights) == 0, "mprotect: %s", strerror(errno));
    return base;
}

static void *free_it(void *pointer) {
    free(malloc(10));
    free(pointer);
    return NULL;
}
static void by_its_first_free(void) { free(opaque(island(PROT_READ | PROT_WRITE) + 64)); }
static void by_a_thread(void) {
    free(malloc(10));
    join_thread(start_thread(free_it, island(PROT_READ | PROT_WRITE) + 64));
}
static void that_may_not_be_read(void) {
    free(malloc(10));
    free(opaque(island(PROT_NONE) + 64));
}
static void after_many_blocks(void) {
    for (int i = 0; i < 1000; i++) CHECK(malloc(1000), "no memory");
    free(opaque(island(PROT_READ | PROT_WRITE) + 64));
}
static void fault_elsewhere(void) { *(volatile char *)(island(PROT_READ) + 2 * MIB) = 1; }
static void fault_of_null(void) { *(volatile char *)opaque((char *)16) = 1; }
static void sent(void) { raise(SIGSEGV); }

static const struct {
    const char *name;
    void (*run)(void);
    int signal;
} cases[] = {
    {"free, the first call", by_its_first_free, SIGABRT},
    {"free by a thread", by_a_thread, SIGABRT},
    {"free of forbidden memory", that_may_not_be_read, SIGABRT},
    {"free, after many blocks", after_many_blocks, SIGABRT},
    {"a fault of the program's own", fault_elsewhere, SIGSEGV},
    {"a null pointer", fault_of_null, SIGSEGV},
    {"a signal that was sent", sent, SIGSEGV},
};

int main(void) {
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[256];
        int status = end_of_child(cases[i].run, text, sizeof text);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == cases[i].signal, "%s: ended with %#x, saying: %s", cases[i].name,
              (unsigned)status, text);
        bool said = strncmp(text, "ralloc: foreign pointer: 0x", 27) == 0;
        CHECK(said == (cases[i].signal == SIGABRT), "%s: said %s", cases[i].name, text);
    }
}
