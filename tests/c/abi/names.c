// clause: glibc 3.2.5 | every function of the list is replaced, and by the same allocator
// skip: musl -- it has no pvalloc and no malloc_trim
// skip: static -- there are no names at run time
// Every public name is there and served by one library: a family that is split between two
// allocators hands blocks of one to the other. It also notices a preload that did not happen.
#include "../common.h"
#include <dlfcn.h>

static const char *const family[] = {
    "malloc",         "free",   "calloc",  "realloc",            "reallocarray", "aligned_alloc",
    "posix_memalign", "valloc", "pvalloc", "malloc_usable_size", "memalign",     "malloc_trim",
};
/// C23; this libc may lack them, the library does not.
static const char *const younger[] = {"free_sized", "free_aligned_sized"};

static const char *home_of(const char *name) {
    void *address = dlsym(RTLD_DEFAULT, name);
    if (!address) return NULL;
    Dl_info info;
    CHECK(dladdr(address, &info), "%s: no object holds %p", name, address);
    return info.dli_fname;
}

int main(void) {
    const char *preload = getenv("LD_PRELOAD"), *home = home_of("malloc");
    CHECK(home, "no malloc");
    bool ours = strstr(home, "ralloc") != NULL;
    if (preload && strstr(preload, "ralloc")) CHECK(ours, "preload %s, but malloc is of %s", preload, home);
    for (size_t i = 0; i < COUNT(family); i++) {
        const char *other = home_of(family[i]);
        CHECK(other && strcmp(other, home) == 0, "%s is of %s, malloc of %s", family[i],
              other ? other : "nobody", home);
    }
    for (size_t i = 0; i < COUNT(younger) && ours; i++) {
        const char *other = home_of(younger[i]);
        CHECK(other && strcmp(other, home) == 0, "%s is of %s, malloc of %s", younger[i],
              other ? other : "nobody", home);
    }
}
