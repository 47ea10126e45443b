# Writes big.cpp: templates, virtual classes, containers and lambdas, as one file that keeps a compiler busy.
{
    printf '#include <%s>\n' algorithm functional map memory numeric optional regex sstream string tuple unordered_map variant vector
    cat <<'CPP'
template <int N> struct Shape { virtual ~Shape() = default; virtual double area() const { return N; } };
template <int N, int M> struct Grid { double cell[N][M]; double sum() const { double s = 0; for (auto &r : cell) for (double c : r) s += c; return s; } };
template <class... T> auto fold(T... t) { return (t + ...); }
CPP
    for i in $(seq 1 "${1:-120}"); do
        cat <<CPP
struct Row$i : Shape<$i> { std::string name = "row $i"; std::vector<int> v; double area() const override { return v.size() * 1.5 + $i; } };
using Value$i = std::variant<int, double, std::string, std::tuple<Row$i *, std::optional<Grid<$i, 3>>>>;
std::map<std::string, Value$i> table$i(int n) {
    std::map<std::string, Value$i> m;
    for (int k = 0; k < n + $i; k++) m.emplace(std::to_string(k), k % 2 ? Value$i(k * 0.5) : Value$i(std::string(k, 'x')));
    return m;
}
double run$i(int n) {
    std::vector<std::unique_ptr<Shape<$i>>> shapes;
    for (int k = 0; k < n; k++) shapes.push_back(std::make_unique<Row$i>());
    std::unordered_map<int, std::function<double(double)>> f;
    f[$i] = [&, i = $i](double x) { return x * i + shapes.size() + table$i(n).size(); };
    std::sort(shapes.begin(), shapes.end(), [](auto &a, auto &b) { return a->area() < b->area(); });
    return fold(f[$i]($i), 1.0 * $i, Grid<$i, 3>{}.sum(), std::accumulate(shapes.begin(), shapes.end(), 0.0, [](double s, auto &p) { return s + p->area(); }));
}
CPP
    done
} >big.cpp
