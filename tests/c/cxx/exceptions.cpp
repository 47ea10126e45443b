// clause: C++ 14.4 | exceptions are thrown, nested and passed between threads; also when there is no memory left
// skip: qemu -- its limits are those of the emulator
// The runtime takes exceptions from malloc, and from a reserve of its own when there is nothing.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <vector>

#define CHECK(c) do { if (!(c)) { std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #c); std::exit(1); } } while (0)

static int depth(const std::exception &e) {
    try { std::rethrow_if_nested(e); } catch (const std::exception &inner) { return 1 + depth(inner); }
    return 1;
}
static void nest(int n) {
    try { if (n == 0) throw std::runtime_error(std::string(500, 'x')); nest(n - 1); }
    catch (...) { std::throw_with_nested(std::logic_error("level " + std::to_string(n))); }
}

int main() {
    for (int round = 0; round < 100; round++) {
        try { nest(20); } catch (const std::exception &e) { CHECK(depth(e) == 22); }
        auto far = std::async(std::launch::async, [] { throw std::out_of_range("far away"); });
        try { far.get(); CHECK(false); } catch (const std::out_of_range &e) { CHECK(std::string(e.what()) == "far away"); }
        std::exception_ptr kept;
        try { throw std::vector<int>(1000, 7); } catch (...) { kept = std::current_exception(); }
        try { std::rethrow_exception(kept); } catch (const std::vector<int> &v) { CHECK(v[999] == 7); }
    }
    rlimit limit = {600 << 20, 600 << 20};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    struct Link { Link *next; } *list = nullptr;
    for (std::size_t n = 1 << 20; n >= 16; n /= 2)
        while (void *p = std::malloc(n)) list = new (p) Link{list};
    int caught = 0;
    for (int i = 0; i < 100; i++) {
        try { ::operator delete(::operator new(1 << 20)); } catch (const std::bad_alloc &) { caught++; }
    }
    CHECK(caught == 100);
    while (list) { Link *next = list->next; std::free(list); list = next; }
    try { nest(20); } catch (const std::exception &e) { CHECK(depth(e) == 22); }
}
