// A program that defines for itself what the archive has as well.
#include <cstdlib>
#include <new>

static int taken;
void *operator new(std::size_t size) {
    taken++;
    return std::malloc(size);
}
void operator delete(void *block) noexcept { std::free(block); }
extern "C" void *reallocf(void *, std::size_t) { return nullptr; }

int main() {
    int *volatile one = new int(1);
    delete one;
    return taken == 1 && !reallocf(nullptr, 10) ? 0 : 1;
}
