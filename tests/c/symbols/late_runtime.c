// clause: life | a C program that loads a C++ library for itself alone
// skip: foreign -- it compiles a library with the host's compiler
// skip: static -- there are no names at run time
// A program in C that loads a C++ library for itself alone, as interpreters do with their modules: what operator new
// throws in that library is caught there.
// needs: c++
// packages: g++
// skip: static foreign -- it compiles a library for this machine
#include "../common.h"
#include <dlfcn.h>

static const char source[] =
    "#include <new>\n"
    "static volatile std::size_t size = ~(std::size_t)0 / 2 - 4096;\n"
    "extern \"C\" int attempt() {\n"
    "    try { operator delete(operator new(size)); } catch (const std::bad_alloc &) { return 7; }\n"
    "    return 0;\n"
    "}\n";

int main(void) {
    FILE *file = fopen("late.cpp", "w");
    CHECK(file && fputs(source, file) >= 0 && fclose(file) == 0, "late.cpp: %s", strerror(errno));
    char *preload = getenv("LD_PRELOAD");
    char *kept = preload ? strdup(preload) : NULL;
    unsetenv("LD_PRELOAD");
    CHECK(system("c++ -shared -fPIC -O1 -o late.so late.cpp") == 0, "late.cpp does not compile");
    if (kept) setenv("LD_PRELOAD", kept, 1);
    void *library = dlopen("./late.so", RTLD_NOW | RTLD_LOCAL);
    CHECK(library, "%s", dlerror());
    int (*attempt)(void) = (int (*)(void))dlsym(library, "attempt");
    CHECK(attempt, "%s", dlerror());
    for (int i = 0; i < 100; i++) CHECK(attempt() == 7, "nothing was caught");
}
