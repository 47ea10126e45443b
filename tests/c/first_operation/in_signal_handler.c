// clause: life | signal handlers on an alternate stack
// skip: musl -- it has no _SC_MINSIGSTKSZ
// skip: qemu -- its frames of signals are larger than the alternate stack here
// A signal handler on a small alternate stack interrupts code that is not in the allocator, and
// allocates: it may, if the program makes sure of that. Here it does, by raising the signal itself.
// For half of the threads the handler makes the first call of all.
#include "../common.h"

static size_t stack_size;
static __thread void *from_handler[16];

static void handler(int number) {
    (void)number;
    for (size_t i = 0; i < COUNT(from_handler); i++) {
        from_handler[i] = realloc(from_handler[i], (i + 1) * 700);
        CHECK(from_handler[i], "block %zu", i);
        memset(from_handler[i], (int)i, (i + 1) * 700);
    }
    void *large = malloc(400 * KIB), *huge = memalign(64, 3 * MIB);
    CHECK(large && huge, "large and huge");
    free(large);
    free(huge);
}

static void *thread(void *number) {
    // A guard page below, so that too deep a call is seen.
    char *map = mmap(NULL, stack_size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED && mprotect(map, 4096, PROT_NONE) == 0, "stack");
    stack_t stack = {.ss_sp = map + 4096, .ss_size = stack_size};
    CHECK(sigaltstack(&stack, NULL) == 0, "sigaltstack: %s", strerror(errno));
    if ((size_t)number % 2) free(malloc(10));
    for (int i = 0; i < 20; i++) {
        raise(SIGUSR1);
        for (size_t k = 0; k < COUNT(from_handler); k++) {
            const unsigned char *bytes = from_handler[k];
            CHECK(bytes[0] == k && bytes[(k + 1) * 700 - 1] == k, "block %zu of the handler", k);
        }
    }
    for (size_t k = 0; k < COUNT(from_handler); k++) free(from_handler[k]);
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    munmap(map, stack_size + 4096);
    return NULL;
}

int main(void) {
    // The least a handler may be given, and 8 KiB for the calls it makes.
    long least = sysconf(_SC_MINSIGSTKSZ);
    stack_size = ((least > 0 ? (size_t)least : 8 * KIB) + 8 * KIB + 4095) & ~(size_t)4095;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    for (int i = 0; i < 10; i++) run_threads(4, thread);
    thread((void *)0);
}
