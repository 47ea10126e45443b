// Prints which object serves each name of the malloc family.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

int main(void) {
    const char *names[] = {"malloc",         "free",          "calloc",  "realloc",
                           "posix_memalign", "aligned_alloc", "memalign", "malloc_usable_size"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        Dl_info info = {0};
        dladdr(dlsym(RTLD_DEFAULT, names[i]), &info);
        printf("%s %s\n", names[i], info.dli_fname ? info.dli_fname : "?");
    }
}
