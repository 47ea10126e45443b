// clause: C++ 27.8 | stable_sort and inplace_merge, which ask for a buffer by the nothrow form and can do without
// skip: qemu -- its limits are those of the emulator
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <sys/resource.h>
#include <vector>

#define CHECK(c) do { if (!(c)) { std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #c); std::exit(1); } } while (0)

static void sort(std::size_t n, std::mt19937 &random) {
    std::vector<std::pair<unsigned, unsigned>> v(n);
    for (unsigned i = 0; i < n; i++) v[i] = {unsigned(random() % 1000), i};
    std::stable_sort(v.begin(), v.end(), [](auto &a, auto &b) { return a.first < b.first; });
    CHECK(std::is_sorted(v.begin(), v.end()));
    std::inplace_merge(v.begin(), v.begin() + long(n / 2), v.end());
    CHECK(std::is_sorted(v.begin(), v.end()));
}

int main() {
    std::mt19937 random(1);
    for (std::size_t n = 2; n < 2000000; n *= 3) sort(n, random);
    // Memory for the elements, and not for the buffer.
    rlimit limit = {400 << 20, 400 << 20};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    std::vector<void *> taken;
    taken.reserve(1000);
    while (void *p = std::malloc(8 << 20)) taken.push_back(p);
    for (int i = 0; i < 3 && !taken.empty(); i++) std::free(taken.back()), taken.pop_back();
    sort(700000, random);
    for (void *p : taken) std::free(p);
}
