#include <algorithm>
#include <functional>
#include <future>
#include <iostream>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N> struct Row {
    std::map<std::string, std::vector<std::optional<std::variant<int, double, std::string>>>> cells;
    std::unordered_map<int, std::set<std::string>> index;
    void add(int key, const std::string &word) {
        index[key + N].insert(word);
        cells[word].emplace_back(key);
        cells[word].emplace_back(word + std::to_string(N));
    }
    std::string text() const {
        std::ostringstream out;
        for (auto &[word, values] : cells)
            for (auto &value : values)
                std::visit([&](auto &v) { out << word << ' ' << v << '\n'; }, *value);
        return out.str();
    }
};

template <int N> std::string rows() {
    Row<N> row;
    std::mt19937 random(N);
    for (int i = 0; i < 100; i++) row.add(random() % 10, "word" + std::to_string(random() % 50));
    auto later = std::async([&] { return row.text(); });
    std::string text = later.get();
    return text;
}

template <int... N> int all(std::integer_sequence<int, N...>) { return (rows<N>().size() + ...); }

int main() { std::cout << all(std::make_integer_sequence<int, 4>()) << '\n'; }
