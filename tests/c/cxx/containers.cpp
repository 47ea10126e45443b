// clause: C++ 22 | containers keep their contents, in six threads that hand them on
// clause: C++ 20.4 | pool and monotonic memory resources over the library
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <list>
#include <map>
#include <memory_resource>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#define CHECK(c) do { if (!(c)) { std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #c); std::exit(1); } } while (0)

static std::mutex lock;
static std::vector<std::map<int, std::string>> shared;

static void body(int me) {
    std::unordered_map<std::string, std::vector<long>> table;
    std::deque<std::string> line;
    std::list<std::vector<char>> list;
    for (int i = 0; i < 20000; i++) {
        std::string key = "key " + std::to_string(i % 500) + std::string(i % 90, 'x');
        table[key].push_back(i);
        line.push_back(std::string(i % 300, char('a' + i % 26)));
        if (line.size() > 1000) { CHECK(line.front().empty() || line.front()[0] == line.front().back()); line.pop_front(); }
        list.emplace_back(i % 5000, char(i));
        if (list.size() > 50) list.pop_front();
        if (i % 500 == 0) {
            std::map<int, std::string> mine;
            for (int k = 0; k < 300; k++) mine[k * 7919 % 1000] = std::to_string(k);
            std::lock_guard<std::mutex> hold(lock);
            shared.push_back(std::move(mine));
            if (shared.size() > 6) { CHECK(shared.front().size() == 300); shared.erase(shared.begin()); }
        }
    }
    long sum = 0;
    for (auto &entry : table) sum = std::accumulate(entry.second.begin(), entry.second.end(), sum);
    CHECK(sum == 199990000L && me >= 0);
    std::pmr::synchronized_pool_resource pool;
    std::pmr::monotonic_buffer_resource bump(&pool);
    std::pmr::map<int, std::pmr::string> pooled(&pool), bumped(&bump);
    for (int i = 0; i < 3000; i++) {
        pooled[i] = std::pmr::string(i % 200, 'p');
        bumped[i] = std::pmr::string(i % 200, 'b');
        if (i % 3) pooled.erase(i - 1);
    }
    CHECK(bumped.size() == 3000 && bumped[2999].size() == 199);
}

int main() {
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; i++) threads.emplace_back(body, i);
    for (auto &thread : threads) thread.join();
}
