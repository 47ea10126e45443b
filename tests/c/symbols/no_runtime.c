// skip: 32-bit -- the operators have other names there, by the type of sizes
// skip: keyed -- without assembler for the processor there are no operators but the runtime's
// operator new fails in a program without a C++ runtime: one line, and the end.
// control: skip -- there is no operator new without a runtime
// signal: ABRT
// stderr: ralloc: operator new: out of memory, and no C++ runtime to throw std::bad_alloc
// skip: static -- the loader is asked for names
#include "../common.h"
#include <dlfcn.h>

int main(void) {
    void *(*operator_new)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "_Znwm");
    void *(*operator_new_nothrow)(size_t, void *) =
        (void *(*)(size_t, void *))dlsym(RTLD_DEFAULT, "_ZnwmRKSt9nothrow_t");
    void (*operator_delete)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "_ZdlPv");
    CHECK(operator_new && operator_new_nothrow && operator_delete, "no operators");
    operator_delete(operator_new(100));
    CHECK(!operator_new_nothrow(SIZE_MAX / 2, NULL), "nothrow gave something");
    operator_new(SIZE_MAX / 2);
}
