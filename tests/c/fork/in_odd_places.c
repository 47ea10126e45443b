// clause: life | fork where threads and processes begin and end
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// fork from where threads and processes begin and end: before main, in the destructor of a dying
// thread (which the library has taken leave of), in an exit handler, in a thread that has not used
// the allocator. Each child allocates, starts a thread, and ends in its own way.
#include "../common.h"

static void *shared_block;

static void *thread_of_child(void *unused) {
    void *p = malloc(3000);
    CHECK(p, "malloc in a thread of the child");
    free(p);
    return unused;
}
static void live(void) {
    for (size_t n = 1; n < 5 * MIB; n *= 7) {
        void *p = calloc(1, n);
        CHECK(p && all_zero(p, n), "calloc(%zu)", n);
        p = realloc(p, n * 2);
        CHECK(p && all_zero(p, n), "realloc(%zu)", n * 2);
        memset(p, 1, n * 2);
        free(p);
    }
}
static void fork_here(const char *where) {
    pid_t child = fork();
    CHECK(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        alarm(20);
        live();
        if (shared_block) {
            CHECK(painted(shared_block, 2000, 9), "%s: the parent's block", where);
            free(shared_block);
        }
        join_thread(start_thread(thread_of_child, NULL));
        live();
        _exit(0);
    }
    await_child(child, where);
    live();
}

static void before_main(void) { fork_here("before main"); }
__attribute__((section(".preinit_array"), used)) static void (*before_main_entry)(void) = before_main;
__attribute__((constructor)) static void constructor(void) { fork_here("constructor"); }
static void at_exit(void) { fork_here("exit handler"); }
__attribute__((destructor)) static void destructor(void) { fork_here("destructor"); }

static pthread_key_t key;
static void dying(void *rounds_left) {
    fork_here("thread-specific destructor");
    size_t left = (size_t)rounds_left - 1;
    if (left) pthread_setspecific(key, (void *)left);
}
static void *mortal(void *number) {
    if ((size_t)number % 2) free(malloc(100));
    pthread_setspecific(key, (void *)(size_t)PTHREAD_DESTRUCTOR_ITERATIONS);
    return NULL;
}
static void *virgin(void *unused) {
    (void)unused;
    pid_t child = fork();
    CHECK(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        alarm(20);
        free(shared_block);
        shared_block = NULL;
        live();
        // The thread ends, and with it the process, by exit: it is the last one.
        return NULL;
    }
    await_child(child, "thread without a heap");
    return NULL;
}

int main(void) {
    CHECK(atexit(at_exit) == 0, "atexit");
    CHECK(pthread_key_create(&key, dying) == 0, "pthread_key_create");
    shared_block = malloc(2000);
    CHECK(shared_block, "malloc");
    paint(shared_block, 2000, 9);
    for (size_t i = 0; i < 10; i++) {
        run_threads(4, mortal);
        run_threads(4, virgin);
    }
    CHECK(painted(shared_block, 2000, 9), "the parent's block, at the end");
}
