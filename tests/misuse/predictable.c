// Guesses addresses. Nothing is wrong with the program; an attacker who cannot guess must do without what he planned.
// case: next-block next-run reuse | small medium large huge | same | prevented | -
#include "misuse.h"

enum { ROW = 33 };

static void row_of(intptr_t *distance) {
    char *row[ROW];
    for (size_t i = 0; i < ROW; i++) row[i] = malloc(size);
    for (size_t i = 0; i + 1 < ROW; i++) distance[i] = row[i + 1] - row[i];
}

/// How many of the steps from a block to the next are as most are.
static size_t most_common(const intptr_t *distance) {
    size_t most = 0;
    for (size_t i = 0; i + 1 < ROW; i++) {
        size_t same = 0;
        for (size_t k = 0; k + 1 < ROW; k++) same += distance[k] == distance[i];
        if (same > most) most = same;
    }
    return most;
}

/// What this program says when it begins again, elsewhere in memory.
static void begin_again(char *text, size_t length) {
    int ends[2];
    CHECK(pipe(ends) == 0, "pipe");
    pid_t child = fork();
    CHECK(child >= 0, "fork");
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        const char *name = "none";
        for (size_t i = 0; i < COUNT(sizes); i++) name = sizes[i].size == size && is(name, "none") ? sizes[i].name : name;
        execl("/proc/self/exe", "predictable", "say", name, thread, (char *)NULL);
        _exit(9);
    }
    close(ends[1]);
    size_t had = 0;
    ssize_t got;
    while ((got = read(ends[0], text + had, length - 1 - had)) > 0) had += (size_t)got;
    text[had] = 0;
    close(ends[0]);
    await_child(child, "begun again");
}

static void scene(void) {
    intptr_t distance[ROW];
    if (is(variant, "say")) {
        row_of(distance);
        for (size_t i = 0; i + 1 < ROW; i++) say("%" PRIdPTR "\n", distance[i]);
        _exit(0);
    }
    announce(NULL);
    if (is(variant, "next-block")) {
        row_of(distance);
        if (most_common(distance) <= ROW / 2) end("prevented");
    } else if (is(variant, "next-run")) {
        char first[2000], second[2000];
        begin_again(first, sizeof first);
        begin_again(second, sizeof second);
        CHECK(strlen(first) > ROW, "the first run said %s", first);
        if (!is(first, second)) end("prevented");
    } else if (is(variant, "reuse")) {
        size_t same = 0;
        for (int i = 0; i < 100; i++) {
            char *block = fresh();
            free(block);
            char *next = fresh();
            same += next == block;
            free(next);
        }
        if (same <= 50) end("prevented");
    } else {
        CHECK(false, "no variant %s", variant);
    }
}
