// clause: C++ 16.4.5.6 | a program that replaces operator new and delete by its own, on malloc, has them called
// cflags: -fsized-deallocation -Wl,-z,muldefs
// With the archive there are two definitions, of which the linker is to take the first, the program's (`-z muldefs`).
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>
#include <vector>

#define CHECK(c) do { if (!(c)) { std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #c); std::exit(1); } } while (0)

static std::atomic<long> taken, given;

void *operator new(std::size_t n) {
    auto *p = static_cast<std::size_t *>(std::malloc(n + 16));
    if (!p) throw std::bad_alloc();
    *p = n;
    taken += long(n);
    return reinterpret_cast<char *>(p) + 16;
}
void operator delete(void *p) noexcept {
    if (!p) return;
    auto *block = reinterpret_cast<std::size_t *>(static_cast<char *>(p) - 16);
    given += long(*block);
    std::free(block);
}
void operator delete(void *p, std::size_t) noexcept { ::operator delete(p); }

int main() {
    {
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; i++)
            threads.emplace_back([] {
                std::vector<std::string> strings;
                for (int i = 0; i < 20000; i++) strings.emplace_back(std::size_t(i % 500), 'x');
                int *array = new int[1000];
                delete[] array;
            });
        for (auto &thread : threads) thread.join();
    }
    CHECK(taken > 4 * 20000 * 100L && taken == given);
}
