// clause: POSIX glob | globfree, wordfree, freeaddrinfo, nftw, hdestroy: libc frees what it allocated
// Functions of libc that build structures and have their own verbs to free them.
#include "../common.h"
#include <ftw.h>
#include <glob.h>
#include <netdb.h>
#include <search.h>
#include <wordexp.h>

static int visit(const char *path, const struct stat *s, int type, struct FTW *at) {
    (void)s, (void)type;
    free(strdup(path));
    return at->level > 3;
}

int main(void) {
    size_t before = 0;
    for (int round = 0; round < 60; round++) {
        glob_t found;
        CHECK(glob("/proc/[a-l]*", GLOB_NOSORT, NULL, &found) == 0 && found.gl_pathc > 5, "glob");
        glob("/proc/s*", GLOB_APPEND, NULL, &found);
        globfree(&found);
        wordexp_t words;
        CHECK(wordexp("one 'two three' ~ $HOME x4", &words, WRDE_NOCMD) == 0, "wordexp");
        wordfree(&words);
        struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *addresses;
        CHECK(getaddrinfo("127.0.0.1", "80", &hints, &addresses) == 0, "getaddrinfo");
        freeaddrinfo(addresses);
        CHECK(nftw("/dev", visit, 8, FTW_PHYS) >= 0, "nftw");
        CHECK(hcreate(3000), "hcreate");
        hdestroy();
        FILE *mounts = fopen("/proc/self/maps", "r");
        CHECK(mounts, "fopen");
        fclose(mounts);
        if (round == 10) before = resident();
    }
    CHECK(growth(before, resident()) < 4 * MIB, "grew by %.1f MiB", in_mib(growth(before, resident())));
}
