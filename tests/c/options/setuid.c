// A program that runs with more rights than its user has takes no options from him.
// link: static
// cflags: -static
// skip: foreign -- the emulator has no more rights than its user
// clause: life | a setuid program reads no options
#include "../common.h"
#include <sys/stat.h>

int main(int count, char **words) {
    if (count > 1) {
        CHECK(geteuid() == 65534 && getuid() == 0, "not setuid");
        return malloc(1) == NULL;
    }
    if (geteuid() != 0) return 0; // Only root can give a program away.
    char copy[64];
    snprintf(copy, sizeof copy, "setuid-copy-%d", (int)getpid());
    int from = open(words[0], O_RDONLY), to = open(copy, O_WRONLY | O_CREAT | O_EXCL, 0700);
    CHECK(from >= 0 && to >= 0, "%s: %s", copy, strerror(errno));
    static char text[1 << 16];
    for (ssize_t n; (n = read(from, text, sizeof text)) > 0;) CHECK(write(to, text, n) == n, "%s", strerror(errno));
    close(to);
    CHECK(chown(copy, 65534, 0) == 0 && chmod(copy, 04755) == 0, "%s: %s", copy, strerror(errno));
    int ends[2];
    CHECK(pipe(ends) == 0, "pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        setenv("RALLOC_OPTIONS", "verbose,stats,nonsense", 1);
        execl(copy, copy, "child", (char *)NULL);
        _exit(9);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    await_child(child, "a setuid program");
    CHECK(n == 0, "it said: %s", text);
}
