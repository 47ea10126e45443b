// clause: POSIX pthread_attr_setstack | stacks that come from the allocator
// clause: POSIX sigaltstack | alternate stacks that come from the allocator
// The stack of a thread, and that of its signal handler, are blocks; they are freed when the thread has been joined.
#include "../common.h"

static atomic_int handled;

static void handler(int signal) {
    (void)signal;
    char room[4000];
    memset(room, 1, sizeof room);
    handled++;
}

static void *body(void *argument) {
    size_t n = 64 * KIB;
    stack_t stack = {.ss_sp = malloc(n), .ss_size = n}, none = {.ss_flags = SS_DISABLE};
    CHECK(stack.ss_sp && sigaltstack(&stack, NULL) == 0, "sigaltstack: %s", strerror(errno));
    raise(SIGUSR1);
    for (size_t i = 0; i < 300; i++) free(malloc(i * 50));
    CHECK(sigaltstack(&none, NULL) == 0, "sigaltstack: %s", strerror(errno));
    free(stack.ss_sp);
    return argument;
}

int main(void) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    for (int round = 0; round < 100; round++) {
        pthread_t thread[4];
        void *stack[4];
        for (int i = 0; i < 4; i++) {
            size_t n = 128 * KIB << i;
            pthread_attr_t attributes;
            pthread_attr_init(&attributes);
            stack[i] = memalign(4096, n);
            CHECK(stack[i] && pthread_attr_setstack(&attributes, stack[i], n) == 0, "setstack");
            CHECK(pthread_create(&thread[i], &attributes, body, stack[i]) == 0, "pthread_create");
            pthread_attr_destroy(&attributes);
        }
        for (int i = 0; i < 4; i++) {
            CHECK(join_thread(thread[i]) == stack[i], "result");
            free(stack[i]);
        }
    }
    CHECK(handled == 400, "%d signals", handled);
}
