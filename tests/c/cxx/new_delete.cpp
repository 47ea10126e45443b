// clause: C++ 17.6.3.2 | operator new: aligned for any object, unique also for size zero; delete of a null pointer does nothing
// clause: C++ 17.6.3.3 | operator new[] and delete[], with destructors counted
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <set>
#include <vector>

#define CHECK(c) do { if (!(c)) { std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #c); std::exit(1); } } while (0)

static int alive;
struct Counted {
    char room[40];
    Counted() { alive++; std::memset(room, 1, sizeof room); }
    ~Counted() { alive--; }
};

int main() {
    std::set<void *> empty;
    for (int i = 0; i < 1000; i++) empty.insert(::operator new(0));
    CHECK(empty.size() == 1000 && !empty.count(nullptr));
    for (void *p : empty) ::operator delete(p);
    ::operator delete(static_cast<void *>(nullptr));
    ::operator delete[](static_cast<void *>(nullptr));

    for (std::size_t n = 1; n < 40000000; n += n / 3 + 1) {
        void *p = ::operator new(n), *q = ::operator new[](n);
        CHECK(reinterpret_cast<std::uintptr_t>(p) % __STDCPP_DEFAULT_NEW_ALIGNMENT__ == 0);
        CHECK(reinterpret_cast<std::uintptr_t>(q) % __STDCPP_DEFAULT_NEW_ALIGNMENT__ == 0);
        std::memset(p, 1, n < 4096 ? n : 4096);
        ::operator delete(p);
        ::operator delete[](q);
    }
    std::vector<Counted *> arrays;
    int wanted = 0;
    for (int n = 0; n < 300; n++) arrays.push_back(new Counted[n]), wanted += n;
    CHECK(alive == wanted);
    for (Counted *array : arrays) delete[] array;
    CHECK(alive == 0);
}
