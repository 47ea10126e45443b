// clause: C++ 17.6.4.3 | the library's own operator new calls the new-handler until there is memory, or it throws
// skip: static -- the forms that do not throw look for the runtime by name, and there are no names at run time
// The new-handler is called again and again until the request can be served, and what it throws reaches the caller.
// skip: qemu -- the emulator lives within the same limit
#include "check.hpp"
#include <new>
#include <sys/resource.h>

static int calls;
static void *reserve;

/// Lets go of the reserve at the third call, gives up at the fourth.
static void handler() {
    if (++calls == 3) {
        operator delete(reserve);
        reserve = nullptr;
    }
    if (calls == 4) throw 7;
}

template <typename Take> static void once(const char *form, Take take) {
    constexpr std::size_t size = 64 << 20;
    rlimit all, few;
    getrlimit(RLIMIT_AS, &all);
    reserve = operator new(size);
    calls = 0;
    std::set_new_handler(handler);
    few = {128 << 20, all.rlim_max};
    // Take what the limit leaves, so that only the reserve is large enough.
    setrlimit(RLIMIT_AS, &few);
    void *fill[64];
    int filled = 0;
    std::set_new_handler(nullptr);
    while (filled < 64 && (fill[filled] = operator new(8 << 20, std::nothrow))) filled++;
    std::set_new_handler(handler);
    void *block = take(size - (1 << 20));
    CHECK(block && calls == 3, "%s gave %p after %d calls of the handler", form, block, calls);
    int caught = 0;
    try {
        operator new(size);
    } catch (int thrown) {
        caught = thrown;
    }
    CHECK(caught == 7 && calls == 4, "%s: caught %d after %d calls", form, caught, calls);
    std::set_new_handler(nullptr);
    while (filled) operator delete(fill[--filled]);
    operator delete(block);
    setrlimit(RLIMIT_AS, &all);
}

int main() {
    once("new", [](std::size_t size) { return operator new(size); });
    once("new[]", [](std::size_t size) { return operator new[](size); });
    once("nothrow", [](std::size_t size) { return operator new(size, std::nothrow); });
    once("aligned", [](std::size_t size) { return operator new(size, std::align_val_t{64}); });
}
