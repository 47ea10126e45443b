// clause: life | makecontext and swapcontext: coroutines that allocate, and go on in other threads
// skip: musl -- no contexts
// Coroutines on stacks from malloc. Each gives way in the middle of its work, and whichever thread comes next takes it up: what
// the compiler believes to know about "this thread" ends at each switch.
#include "../common.h"
#include <ucontext.h>

#define COROUTINES 24
#define STEPS 400

struct coroutine {
    ucontext_t here, there;
    void *stack, *block[16];
    size_t size[16];
    uint64_t stream;
    int step;
};

static struct coroutine all[COROUTINES];
static struct coroutine *queue[COROUTINES];
static size_t waiting, finished;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((noinline)) static void give_way(struct coroutine *c) { swapcontext(&c->here, &c->there); }

static void work(unsigned which) {
    struct coroutine *c = &all[which];
    for (c->step = 0; c->step < STEPS; c->step++) {
        size_t i = below(&c->stream, 16);
        if (c->block[i]) CHECK(painted(c->block[i], c->size[i], which), "block of coroutine %u", which);
        free(c->block[i]);
        give_way(c);
        c->size[i] = any_size(&c->stream, c->step % 50 ? 4 * KIB : 500 * KIB);
        c->block[i] = malloc(c->size[i]);
        CHECK(c->block[i], "malloc");
        give_way(c);
        paint(c->block[i], c->size[i], which);
    }
    for (size_t i = 0; i < 16; i++) free(c->block[i]);
    give_way(c);
}

static struct coroutine *next(void) {
    pthread_mutex_lock(&lock);
    struct coroutine *c = waiting ? queue[--waiting] : NULL;
    pthread_mutex_unlock(&lock);
    return c;
}

static void *drive(void *unused) {
    while (__atomic_load_n(&finished, __ATOMIC_ACQUIRE) < COROUTINES) {
        struct coroutine *c = next();
        if (!c) {
            sched_yield();
            continue;
        }
        swapcontext(&c->there, &c->here);
        if (c->step == STEPS) {
            __atomic_add_fetch(&finished, 1, __ATOMIC_RELEASE);
            continue;
        }
        // Behind those that wait already, or in front of them.
        pthread_mutex_lock(&lock);
        queue[waiting++] = c;
        struct coroutine *held = queue[0];
        queue[0] = queue[waiting - 1];
        queue[waiting - 1] = held;
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

int main(void) {
    for (unsigned i = 0; i < COROUTINES; i++) {
        struct coroutine *c = &all[i];
        c->stream = seed + i;
        c->stack = malloc(64 * KIB);
        CHECK(c->stack && getcontext(&c->here) == 0, "getcontext");
        c->here.uc_stack.ss_sp = c->stack;
        c->here.uc_stack.ss_size = 64 * KIB;
        makecontext(&c->here, (void (*)(void))work, 1, i);
        queue[waiting++] = c;
    }
    run_threads(4, drive);
    for (size_t i = 0; i < COROUTINES; i++) free(all[i].stack);
}
