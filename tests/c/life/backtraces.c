// clause: life | backtrace, which loads a library and allocates the first time, in threads and in signal handlers
// skip: riscv64 -- backtrace of this C library ends in the handler
// skip: musl -- no backtrace
#include "../common.h"
#include <execinfo.h>

static void handler(int signal) {
    (void)signal;
    void *frame[32];
    CHECK(backtrace(frame, 32) > 1, "backtrace in a handler");
}

static void *body(void *unused) {
    void *frame[32];
    for (int i = 0; i < 300; i++) {
        int n = backtrace(frame, 32);
        char **names = backtrace_symbols(frame, n);
        CHECK(n > 0 && names && names[0], "backtrace");
        free(names);
        raise(SIGUSR1);
    }
    return unused;
}

int main(void) {
    signal(SIGUSR1, handler);
    run_threads(4, body);
}
