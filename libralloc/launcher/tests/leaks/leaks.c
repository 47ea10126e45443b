// Leaves blocks behind, as the word says that it is started with. A block is lost when the program keeps nothing of its address but the
// complement: what a call leaves in its registers and on its stack is overwritten before the program exits.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))

APART static void scrub(void) {
    volatile char room[1 << 15];
    memset((void *)room, 0, sizeof room);
}

APART static uintptr_t here(size_t size) { return ~(uintptr_t)malloc(size); }
APART static uintptr_t there(size_t size) { return ~(uintptr_t)malloc(size); }

/// Two call sites, and two sizes from one of them.
static void groups(void) {
    // Not unrolled: each loop has one call.
    for (volatile int i = 0; i < 5; i++) here(32);
    for (volatile int i = 0; i < 3; i++) there(32);
    for (volatile int i = 0; i < 2; i++) here(100);
}

char *global, *inside, *behind, *nothing;
__thread char *own;
char **mapped;

APART static void place(void) {
    global = malloc(1001);
    *(char **)(global + 504) = malloc(1002);
    inside = (char *)~here(1003) + 1002;
    behind = (char *)~here(1004) + 1004;
    own = malloc(1005);
    mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mapped[7] = malloc(1006);
    nothing = malloc(0);
    // The first of a list is lost, and so is what it alone leads to.
    char **first = malloc(2001);
    first[3] = malloc(2002);
    free(malloc(3001));
}

/// Where pointers may be.
static void reach(void) {
    place();
    scrub();
    char *volatile on_the_stack = malloc(1007);
    (void)on_the_stack;
    scrub();
    exit(0);
}

/// Blocks to which nothing leads but a register that calls preserve.
static void registers(void) {
#ifdef __x86_64__
    uintptr_t words[5];
    for (int i = 0; i < 5; i++) words[i] = here(1001 + (size_t)i);
    scrub();
    __asm__ volatile("mov 0(%0), %%rbx\n mov 8(%0), %%r12\n mov 16(%0), %%r13\n mov 24(%0), %%r14\n mov 32(%0), %%r15\n"
                     "not %%rbx\n not %%r12\n not %%r13\n not %%r14\n not %%r15\n"
                     "xor %%edi, %%edi\n and $-16, %%rsp\n call exit@plt\n" ::"r"(words)
                     : "memory");
#endif
}

APART static void ask(void) {
    uintptr_t lost[] = {
        ~(uintptr_t)calloc(3, 100),
        ~(uintptr_t)aligned_alloc(4096, 8192),
        ~(uintptr_t)memalign(1 << 22, 100001),
        ~(uintptr_t)memalign(64, 3000001),
        ~(uintptr_t)malloc(300001),
        ~(uintptr_t)malloc(5000001),
        ~(uintptr_t)realloc(malloc(10), 2222),
        ~(uintptr_t)strdup("eleven char"),
    };
    (void)lost;
    global = malloc(400001);
    inside = (char *)malloc(6000001) + (1 << 20);
    // What the table does not show.
    free(malloc(700001));
    free(malloc(7000001));
}

/// Every way to ask, and blocks of every length.
static void kinds(void) { ask(); }

static void *sleeper(void *given) {
    char *volatile held = malloc(1234);
    (void)held;
    pthread_barrier_wait(given);
    for (;;) pause();
    return NULL;
}

/// Exits while another thread has a block on its stack.
static void stack(void) {
    static pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_t thread;
    pthread_create(&thread, NULL, sleeper, &barrier);
    pthread_barrier_wait(&barrier);
    scrub();
}

/// All that it has was cleared by the allocator: in memory that nobody has written to yet the address of a lost block may be left.
static void *busy(void *given) {
    unsigned state = (unsigned)(uintptr_t)given;
    char *kept[64] = {0};
    for (;;) {
        state = state * 1103515245 + 12345;
        unsigned i = state >> 16 & 63, kind = state >> 24;
        free(kept[i]);
        size_t size = 1 + (state >> 8) % 2000;
        if (kind < 40) size += 40000 + (state >> 8) % 300000;
        if (kind < 8) size += 3000000;
        kept[i] = calloc(1, size);
        if (kept[i]) kept[i][size / 2] = 1;
        if (kind == 77) kept[i] = realloc(kept[i], size / 2 + 1);
    }
    return NULL;
}

/// Exits while others allocate and free.
static void threads(void) {
    here(4321);
    scrub();
    pthread_t thread;
    for (uintptr_t i = 1; i <= 4; i++) pthread_create(&thread, NULL, busy, (void *)i);
    usleep(20000);
    scrub();
    exit(7);
}

static void child(void) {
    here(11);
    if (fork() == 0) here(12);
    else wait(NULL);
}

int main(int count, char **words) {
    const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {
        {"groups", groups}, {"reach", reach},     {"registers", registers}, {"kinds", kinds},
        {"stack", stack},   {"threads", threads}, {"child", child},
    };
    const char *part = count > 1 ? words[1] : "";
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strcmp(part, parts[i].name) == 0) parts[i].run();
    }
    if (strcmp(part, "_exit") == 0) here(10), _exit(3);
    if (strcmp(part, "killed") == 0) here(10), raise(SIGTERM);
    if (strcmp(part, "status") == 0) here(10), exit(42);
    scrub();
    return 0;
}
