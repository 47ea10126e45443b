// clause: C++ 17.6.3 | every form of operator new and delete, by one library
// skip: 32-bit -- the operators have other names there, by the type of sizes
// skip: keyed -- without assembler for the processor the operators are the runtime's, which call malloc
// Every form of operator new and delete works, is aligned as asked, and is served by one library.
// skip: static -- the loader is asked for names
#include "check.hpp"
#include <cstdint>
#include <cstring>
#include <dlfcn.h>
#include <new>

static void is_block(const char *form, void *p, std::size_t size, std::size_t align) {
    CHECK(p != nullptr, "%s gave nothing", form);
    CHECK(reinterpret_cast<std::uintptr_t>(p) % align == 0, "%s gave %p, not aligned to %zu", form, p, align);
    std::memset(p, 0x5A, size);
}

static const char *home_of(const char *name) {
    Dl_info info;
    void *address = dlsym(RTLD_DEFAULT, name);
    CHECK(address && dladdr(address, &info), "nobody has %s", name);
    return info.dli_fname;
}

int main() {
    const char *preload = std::getenv("LD_PRELOAD");
    bool ours = preload && std::strstr(preload, "ralloc");
    const char *const names[] = {
        "_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "_ZnwmSt11align_val_t",
        "_ZnamSt11align_val_t", "_ZnwmSt11align_val_tRKSt9nothrow_t",
        "_ZnamSt11align_val_tRKSt9nothrow_t", "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm",
        "_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t", "_ZdlPvSt11align_val_t",
        "_ZdaPvSt11align_val_t", "_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t",
        "_ZdlPvSt11align_val_tRKSt9nothrow_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    };
    for (const char *name : names) {
        CHECK(!ours || std::strcmp(home_of(name), home_of("malloc")) == 0, "%s is of %s, malloc of %s",
              name, home_of(name), home_of("malloc"));
    }
    for (std::size_t size = 0; size <= 9 << 20; size = size < 64 ? size + 1 : size * 2 + 1) {
        void *p;
        is_block("new", p = operator new(size), size, 16), operator delete(p);
        is_block("new", p = operator new(size), size, 16), operator delete(p, size);
        is_block("new", p = operator new(size), size, 16), operator delete(p, std::nothrow);
        is_block("new[]", p = operator new[](size), size, 16), operator delete[](p);
        is_block("new[]", p = operator new[](size), size, 16), operator delete[](p, size);
        is_block("new[]", p = operator new[](size), size, 16), operator delete[](p, std::nothrow);
        is_block("nothrow", p = operator new(size, std::nothrow), size, 16), operator delete(p);
        is_block("[] nothrow", p = operator new[](size, std::nothrow), size, 16), operator delete[](p);
        for (std::size_t n = 1; n <= 65536; n *= 4) {
            std::align_val_t align{n};
            is_block("aligned", p = operator new(size, align), size, n), operator delete(p, align);
            is_block("aligned", p = operator new(size, align), size, n), operator delete(p, size, align);
            is_block("aligned", p = operator new(size, align), size, n), operator delete(p, align, std::nothrow);
            is_block("aligned[]", p = operator new[](size, align), size, n), operator delete[](p, align);
            is_block("aligned[]", p = operator new[](size, align), size, n), operator delete[](p, size, align);
            is_block("aligned[]", p = operator new[](size, align), size, n), operator delete[](p, align, std::nothrow);
            is_block("both", p = operator new(size, align, std::nothrow), size, n), operator delete(p, align);
            is_block("both[]", p = operator new[](size, align, std::nothrow), size, n), operator delete[](p, align);
        }
    }
    operator delete(nullptr);
    operator delete[](nullptr);
    operator delete(nullptr, std::align_val_t{64});
}
