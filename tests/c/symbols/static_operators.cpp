// clause: link -static | C++, with exceptions
// skip: 32-bit -- half of the address space may be free
// The operators in a program that is linked statically, and throws.
// link: static
// cflags: -static
#include "check.hpp"
#include <new>
#include <string>
#include <vector>

int main() {
    std::vector<std::string> words;
    for (int i = 0; i < 1000; i++) words.push_back(std::string(i, 'x'));
    bool caught = false;
    try {
        operator delete(operator new(too_much()));
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    CHECK(caught, "nothing was caught");
    CHECK(!operator new(too_much(), std::nothrow), "nothrow gave something");
}
