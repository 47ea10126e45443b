// clause: POSIX setenv | the environment grows, shrinks, is replaced; putenv keeps the program's own block
// clause: glibc 5.15 | argz and envz grow through realloc
// skip: musl -- no argz
// Vectors that libc resizes for the program.
#include "../common.h"
#include <argz.h>
#include <envz.h>

int main(void) {
    char name[40], value[4000];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 2000; i++) {
            snprintf(name, sizeof name, "NAME_%d", i);
            memset(value, 'v', sizeof value);
            value[i % 3000] = 0;
            CHECK(setenv(name, value, 1) == 0, "setenv");
        }
        for (int i = 0; i < 2000; i += 2) {
            snprintf(name, sizeof name, "NAME_%d", i);
            CHECK(strlen(getenv(name)) == (size_t)i, "%s", name);
            unsetenv(name);
        }
        char *own = strdup("OWN=of the program");
        CHECK(putenv(own) == 0 && getenv("OWN") == own + 4, "putenv");
        CHECK(unsetenv("OWN") == 0, "unsetenv");
        free(own);
        clearenv();

        char *argz = NULL;
        size_t n = 0;
        for (int i = 0; i < 3000; i++) CHECK(argz_add(&argz, &n, "word") == 0, "argz_add");
        CHECK(argz_count(argz, n) == 3000, "argz_count");
        CHECK(envz_add(&argz, &n, "key", "value") == 0, "envz_add");
        argz_delete(&argz, &n, argz);
        unsigned replaced = 0;
        CHECK(argz_replace(&argz, &n, "word", "longer words", &replaced) == 0 && replaced == 2999, "%u", replaced);
        CHECK(strcmp(envz_get(argz, n, "key"), "value") == 0, "envz_get");
        free(argz);
    }
}
