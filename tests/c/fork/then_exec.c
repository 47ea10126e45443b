// clause: POSIX posix_spawn | the child starts with a heap of its own
// clause: life | vfork and posix_spawn
// skip: qemu -- an emulated program cannot start itself again
// skip: foreign -- it executes programs of the host, which cannot have the library
// vfork and posix_spawn: the child borrows the parent's memory, or has none of its own, until it
// executes another program; the program then starts with a heap of its own. Threads go on meanwhile.
#include "../common.h"
#include <spawn.h>

#define CHILDREN 200

extern char **environ;
static atomic_bool stop;

static void *busy(void *number) {
    uint64_t stream = seed + (size_t)number;
    struct { void *block; size_t size; } mine[100] = {0};
    while (!stop) {
        size_t i = below(&stream, COUNT(mine));
        if (mine[i].block) CHECK(painted(mine[i].block, mine[i].size, i), "block of %zu", mine[i].size);
        free(mine[i].block);
        mine[i].size = any_size(&stream, 16 * KIB);
        mine[i].block = malloc(mine[i].size);
        CHECK(mine[i].block, "malloc");
        paint(mine[i].block, mine[i].size, i);
    }
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i].block);
    return NULL;
}

int main(int count, char **argument) {
    if (count > 1) {
        void *p = malloc(1000), *q = calloc(10, 10000);
        CHECK(p && q && all_zero(q, 100000), "after exec");
        free(p);
        free(q);
        return 0;
    }
    char *arguments[] = {argument[0], "again", NULL};
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT(threads); i++) threads[i] = start_thread(busy, (void *)i);
    for (int i = 0; i < CHILDREN; i++) {
        void *around = malloc(5000);
        paint(around, 5000, (uint64_t)i);
        pid_t child = 0;
        switch (i % 3) {
        case 0:
            child = vfork();
            if (child == 0) {
                execve("/proc/self/exe", arguments, environ);
                _exit(127);
            }
            break;
        case 1: CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0, "posix_spawn"); break;
        case 2:
            child = fork();
            if (child == 0) {
                free(around);
                execve("/proc/self/exe", arguments, environ);
                _exit(127);
            }
            break;
        }
        CHECK(child > 0, "no child: %s", strerror(errno));
        await_child(child, "another program");
        CHECK(painted(around, 5000, (uint64_t)i), "the child changed the parent's block");
        free(around);
    }
    stop = true;
    for (size_t i = 0; i < COUNT(threads); i++) join_thread(threads[i]);
    FILE *shell = popen("echo $((6 * 7))", "r");
    char answer[8] = "";
    CHECK(shell && fgets(answer, sizeof answer, shell) && strcmp(answer, "42\n") == 0, "popen: %s", answer);
    CHECK(pclose(shell) == 0, "pclose");
}
