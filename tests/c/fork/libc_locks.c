// clause: life | fork while other threads hold stdio's locks and allocate
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// fork waits for libc's stdio locks, and threads that hold one allocate (getline, memory streams,
// fopen, fflush of all streams). If the library's own preparation for a fork holds something that
// such a thread waits for, both wait for ever. The children use stdio and allocate, too.
#include "../common.h"

#define THREADS 4
#define FORKS 1200

static atomic_bool stop;
static FILE *shared;

static void *grow_streams(void *number) {
    uint64_t stream = seed + (size_t)number;
    while (!stop) {
        char *text = NULL, *line = NULL;
        size_t n = 0, room = 0;
        FILE *out = open_memstream(&text, &n);
        CHECK(out, "open_memstream");
        // Each growth is a realloc under the stream's lock.
        for (size_t i = between(&stream, 1, 200); i > 0; i--) fprintf(out, "%0*zu\n", (int)between(&stream, 1, 600), i);
        fflush(NULL);
        fclose(out);
        FILE *in = fmemopen(text, n ? n : 1, "r");
        CHECK(in, "fmemopen");
        while (getline(&line, &room, in) > 0) {}
        fclose(in);
        free(line);
        free(text);
    }
    return NULL;
}

static void *allocate_under_lock(void *number) {
    uint64_t stream = seed + (size_t)number;
    while (!stop) {
        flockfile(shared);
        for (int i = 0; i < 50; i++) free(malloc(any_size(&stream, 100 * KIB)));
        fprintf(shared, "%d", 1);
        funlockfile(shared);
    }
    return NULL;
}

int main(void) {
    shared = tmpfile();
    CHECK(shared, "tmpfile: %s", strerror(errno));
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        threads[i] = start_thread(i % 2 ? grow_streams : allocate_under_lock, (void *)i);
    }
    for (size_t i = 0; i < FORKS; i++) {
        // The parent would hang in fork itself.
        alarm(30);
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) {
            alarm(20);
            char *text = NULL;
            CHECK(asprintf(&text, "%0*d", 3000, 1) == 3000, "asprintf");
            FILE *null = fopen("/dev/null", "w");
            CHECK(null && fputs(text, null) >= 0 && fclose(null) == 0, "a stream in the child");
            free(text);
            _exit(0);
        }
        await_child(child, "fork while stdio locks are held");
    }
    alarm(0);
    stop = true;
    for (size_t i = 0; i < THREADS; i++) join_thread(threads[i]);
    fclose(shared);
}
