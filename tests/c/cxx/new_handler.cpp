// clause: C++ 17.6.4.3 | the new-handler is called, again and again, until there is memory, or it throws, or there is none
// skip: static -- the forms that do not throw look for the runtime by name, and there are no names at run time
// skip: qemu -- its limits are those of the emulator
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <sys/resource.h>
#include <vector>

#define CHECK(c) do { if (!(c)) { std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #c); std::exit(1); } } while (0)

static std::vector<void *> reserve;
static int calls;

static void gives_back() {
    calls++;
    if (reserve.empty()) {
        std::set_new_handler(nullptr);
        return;
    }
    for (int i = 0; i < 8 && !reserve.empty(); i++) std::free(reserve.back()), reserve.pop_back();
}
static void refuses() { calls++; throw std::bad_alloc(); }

int main() {
    rlimit limit = {800 << 20, 800 << 20};
    reserve.reserve(100000);
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    while (void *p = std::malloc(4 << 20)) reserve.push_back(p);
    std::size_t had = reserve.size();
    CHECK(had > 20);
    std::set_new_handler(gives_back);
    void *big = ::operator new(16 << 20);
    CHECK(big && calls > 0 && reserve.size() < had);
    ::operator delete(big);
    calls = 0;
    CHECK(!::operator new(std::size_t(1) << 30, std::nothrow));
    CHECK(calls > 1 && reserve.empty());
    calls = 0;
    std::set_new_handler(refuses);
    bool thrown = false;
    try { ::operator delete(::operator new(std::size_t(1) << 30)); } catch (const std::bad_alloc &) { thrown = true; }
    CHECK(thrown && calls == 1);
    std::set_new_handler(nullptr);
    big = ::operator new(16 << 20);
    ::operator delete(big);
}
