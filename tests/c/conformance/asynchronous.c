// clause: POSIX timer_create | threads that libc starts for the program (SIGEV_THREAD) allocate
// clause: POSIX aio_read | so do those of asynchronous input
// skip: musl -- one thread serves each timer, without its own attributes
// Threads that libc starts by itself, of which the program does not know: notifications of timers, workers of aio.
#include "../common.h"
#include <aio.h>

static atomic_int notified;

static void notify(union sigval value) {
    char *p = malloc(3000);
    CHECK(p, "malloc");
    memset(p, value.sival_int, 3000);
    free(p);
    notified++;
}

int main(void) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify};
    timer_t timer;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create: %s", strerror(errno));
    struct itimerspec period = {{0, 2000000}, {0, 2000000}};
    CHECK(timer_settime(timer, 0, &period, NULL) == 0, "timer_settime");
    for (int round = 0; round < 100; round++) {
        struct aiocb request = {.aio_fildes = open("/proc/self/exe", O_RDONLY), .aio_nbytes = 5000};
        request.aio_buf = malloc(5000);
        request.aio_sigevent = event;
        CHECK(request.aio_fildes >= 0 && aio_read(&request) == 0, "aio_read: %s", strerror(errno));
        const struct aiocb *list[] = {&request};
        while (aio_error(&request) == EINPROGRESS) aio_suspend(list, 1, NULL);
        CHECK(aio_return(&request) == 5000 && memcmp((char *)request.aio_buf, "\177ELF", 4) == 0, "aio_return");
        close(request.aio_fildes);
        free((void *)request.aio_buf);
    }
    for (double end = now() + 10; notified < 120 && now() < end;) usleep(1000);
    CHECK(notified >= 120, "%d notifications", notified);
    timer_delete(timer);
}
