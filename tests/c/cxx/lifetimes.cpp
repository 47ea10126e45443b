// clause: C++ 6.9.3 | static and thread-local objects allocate before main, and free after it and after their threads
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#define CHECK(c) do { if (!(c)) { std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #c); std::_Exit(1); } } while (0)

struct Holder {
    std::vector<std::string> strings;
    explicit Holder(int n) { for (int i = 0; i < n; i++) strings.emplace_back(std::size_t(i % 700), 's'); }
    ~Holder() {
        for (std::size_t i = 0; i < strings.size(); i++) CHECK(strings[i].size() == i % 700);
        // A destructor may still allocate.
        strings.emplace_back(5000, 'l');
        strings.insert(strings.begin(), 100, std::string(100, 'e'));
    }
};

static Holder first(3000);
static Holder &leaked = *new Holder(100);
thread_local Holder each(500);

static Holder &on_demand() { static Holder holder(2000); return holder; }

int main() {
    CHECK(first.strings.size() == 3000 && leaked.strings.size() == 100);
    for (int round = 0; round < 50; round++) {
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; i++) threads.emplace_back([] { CHECK(each.strings.size() == 500); on_demand(); });
        for (auto &thread : threads) thread.join();
    }
    CHECK(each.strings.size() == 500);
}
