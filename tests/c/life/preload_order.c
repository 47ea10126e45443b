// clause: life | other preloaded libraries before and after it: one that wraps malloc, one that defines all of it for itself
// clause: link LD_PRELOAD | the first library that has the symbols serves, wrappers find the next by dlsym(RTLD_NEXT)
// skip: qemu -- an emulated program cannot start itself again
// needs: cc
// skip: foreign -- it compiles libraries with the host's compiler
// skip: static -- nothing is preloaded
// The program makes two libraries, as malloc tracers are made: one counts calls and passes them on to the next malloc (dlsym itself
// allocates), one has only a constructor that allocates. Then it starts itself under each order of preloading.
#include "../common.h"
#include <dlfcn.h>

static const char wrapper[] =
    "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stddef.h>\n"
    "static char early[8192]; static size_t used; long wrapped;\n"
    "static void *(*m)(size_t), *(*r)(void *, size_t); static void (*f)(void *);\n"
    "static int asking;\n"
    "static void ask(void) { asking = 1; m = dlsym(RTLD_NEXT, \"malloc\"); r = dlsym(RTLD_NEXT, \"realloc\");\n"
    "  f = dlsym(RTLD_NEXT, \"free\"); asking = 0; }\n"
    "void *malloc(size_t n) { if (!m) { if (asking) { void *p = early + used; used += (n + 31) & ~15; return p; } ask(); }\n"
    "  wrapped++; return m(n); }\n"
    "void *realloc(void *p, size_t n) { if (!r) ask(); wrapped++; return r(p, n); }\n"
    "void free(void *p) { if ((char *)p >= early && (char *)p < early + sizeof early) return; if (!f) ask(); f(p); }\n";
static const char constructor[] =
    "#include <stdlib.h>\n#include <string.h>\nvoid *from_constructor;\n"
    "__attribute__((constructor)) static void begin(void) { from_constructor = malloc(5000); memset(from_constructor, 5, 5000); }\n"
    "__attribute__((destructor)) static void end(void) { free(from_constructor); free(malloc(100000)); }\n";

static void make(const char *name, const char *source) {
    char command[200];
    snprintf(command, sizeof command, "cc -O1 -fPIC -shared -w -x c - -o ./%s -ldl", name);
    FILE *compiler = popen(command, "w");
    CHECK(compiler, "popen");
    fputs(source, compiler);
    CHECK(pclose(compiler) == 0, "%s was not made", name);
}

static void *work(void *unused) {
    uint64_t stream = seed;
    void *block[100] = {0};
    for (int i = 0; i < 20000; i++) {
        size_t at = below(&stream, COUNT(block)), n = any_size(&stream, 100 * KIB);
        block[at] = i % 3 ? (free(block[at]), i % 2 ? malloc(n) : memalign(64, n)) : realloc(block[at], n);
        CHECK(block[at], "size %zu", n);
        memset(block[at], 1, n < 100 ? n : 100);
    }
    for (size_t i = 0; i < COUNT(block); i++) free(block[i]);
    return unused;
}

static void again(void) {
    work(NULL);
    run_threads(3, work);
    pid_t child = fork();
    if (child == 0) {
        work(NULL);
        _exit(0);
    }
    await_child(child, getenv("LD_PRELOAD"));
    long *wrapped = dlsym(RTLD_DEFAULT, "wrapped");
    if (wrapped && strncmp(getenv("LD_PRELOAD"), "./w", 3) == 0) CHECK(*wrapped > 10000, "%ld calls", *wrapped);
    char *first = dlsym(RTLD_DEFAULT, "from_constructor");
    if (first) CHECK((*(char **)first)[4999] == 5, "the constructor's block");
}

int main(int count, char **arguments) {
    if (count > 1) {
        again();
        return 0;
    }
    const char *library = getenv("LD_PRELOAD");
    char kept[500] = "";
    if (library) snprintf(kept, sizeof kept, "%s", library);
    unsetenv("LD_PRELOAD");
    make("wrapper.so", wrapper);
    make("constructor.so", constructor);
    const char *const orders[] = {"./wrapper.so:%s", "%s:./wrapper.so", "./constructor.so:%s", "%s:./constructor.so",
                                  "./wrapper.so:%s:./constructor.so", "./constructor.so:./wrapper.so:%s", "%s:%s"};
    for (size_t i = 0; i < COUNT(orders); i++) {
        char value[1200];
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
        snprintf(value, sizeof value, orders[i], kept, kept);
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            setenv("LD_PRELOAD", value, 1);
            execl(arguments[0], arguments[0], "again", (char *)NULL);
            _exit(2);
        }
        await_child(child, orders[i]);
    }
}
