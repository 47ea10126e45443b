// clause: C++ 17.6.4.1 | objects on the way are destroyed when a new expression throws
// skip: 32-bit -- half of the address space may be free
// What cannot be had is reported by std::bad_alloc, through every throwing form, with the objects on the way destroyed;
// the forms that must not throw return null.
#include "check.hpp"
#include <new>

static int destroyed;
struct Witness {
    ~Witness() { destroyed++; }
};

template <typename Form> static void throws(const char *name, Form form) {
    int before = destroyed;
    bool caught = false;
    try {
        Witness witness;
        operator delete(form());
    } catch (const std::bad_alloc &error) {
        caught = true;
        CHECK(error.what()[0], "%s: an exception without a name", name);
    }
    CHECK(caught, "%s threw nothing", name);
    CHECK(destroyed == before + 1, "%s: %d objects destroyed", name, destroyed - before);
}

int main() {
    constexpr std::align_val_t wide{4096}, none{3};
    for (int round = 0; round < 1000; round++) {
        throws("new", [] { return operator new(too_much()); });
        throws("new[]", [] { return operator new[](too_much()); });
        throws("aligned new", [] { return operator new(too_much(), wide); });
        throws("aligned new[]", [] { return operator new[](too_much(), wide); });
        throws("new with a wrong alignment", [] { return operator new(1, none); });
        CHECK(!operator new(too_much(), std::nothrow), "nothrow gave something");
        CHECK(!operator new[](too_much(), std::nothrow), "nothrow gave something");
        CHECK(!operator new(too_much(), wide, std::nothrow), "nothrow gave something");
        CHECK(!operator new[](too_much(), wide, std::nothrow), "nothrow gave something");
    }
    std::set_new_handler([] { throw std::bad_alloc(); });
    throws("a handler", [] { return operator new(too_much()); });
    CHECK(!operator new(too_much(), std::nothrow), "a handler that throws: nothrow gave something");
    CHECK(!operator new[](too_much(), std::nothrow), "a handler that throws: nothrow gave something");
    CHECK(!operator new(too_much(), wide, std::nothrow), "a handler that throws: nothrow gave something");
    void *block = operator new(100);
    operator delete(block);
}
