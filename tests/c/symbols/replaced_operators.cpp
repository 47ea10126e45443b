// clause: C++ 16.4.5.6 | a program that replaces the plain forms only: the others call them
// skip: static -- the forms that do not throw look for the runtime by name, and there are no names at run time
// A program that replaces the plain operators only: the other forms call them, and never mix the two.
#include "check.hpp"
#include <cstring>
#include <new>

static int taken, given;

/// Marks what it returns, so that a block of somebody else is noticed.
void *operator new(std::size_t size) {
    char *block = static_cast<char *>(std::malloc(size + 64));
    if (!block || size > (1 << 30)) throw std::bad_alloc();
    std::strcpy(block, "mine");
    taken++;
    return block + 64;
}
void operator delete(void *block) noexcept {
    if (!block) return;
    char *start = static_cast<char *>(block) - 64;
    CHECK(std::strcmp(start, "mine") == 0, "a block that this program did not make");
    start[0] = 0;
    given++;
    std::free(start);
}

int main() {
    void *p;
    p = operator new[](10), operator delete[](p);
    p = operator new(10, std::nothrow), operator delete(p, std::size_t(10));
    p = operator new[](10, std::nothrow), operator delete[](p, std::size_t(10));
    p = operator new(10), operator delete(p, std::nothrow);
    p = operator new[](10), operator delete[](p, std::nothrow);
    CHECK(taken == 5 && given == 5, "%d taken, %d given back", taken, given);
    CHECK(!operator new(too_much(), std::nothrow), "nothrow gave something");
    CHECK(!operator new[](too_much(), std::nothrow), "nothrow gave something");
    p = operator new(10, std::align_val_t{64}), operator delete(p, std::align_val_t{64});
    p = operator new[](10, std::align_val_t{64}), operator delete[](p, std::size_t(10), std::align_val_t{64});
    CHECK(taken == 5 && given == 5, "%d taken, %d given back", taken, given);
}
