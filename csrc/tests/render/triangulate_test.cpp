#include "render/triangulate.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "core/rng.hpp"
#include "sim/polygon.hpp"

namespace flare::render {
namespace {

double area(Vec2 a, Vec2 b, Vec2 c) {
  return 0.5 * std::abs(static_cast<double>((b.x - a.x) * (c.z - a.z) - (b.z - a.z) * (c.x - a.x)));
}

double covered(const std::vector<Vec2>& polygon) {
  double sum = 0.0;
  for (const auto& t : triangulate(polygon)) {
    sum += area(polygon[t[0]], polygon[t[1]], polygon[t[2]]);
  }
  return sum;
}

TEST_CASE("triangulate: covers concave polygons of either direction exactly once") {
  // An L of area 12 and a comb of area 10 (a 6 x 1 back and three 1 x ... teeth: 6 + 2 + 1 + 1).
  const std::vector<Vec2> ell = {{0, 0}, {4, 0}, {4, 2}, {2, 2}, {2, 4}, {0, 4}};
  const std::vector<Vec2> comb = {{0, 0}, {6, 0}, {6, 2}, {5, 2}, {5, 1}, {4, 1},
                                  {4, 2}, {3, 2}, {3, 1}, {1, 1}, {1, 3}, {0, 3}};
  for (std::vector<Vec2> polygon : {ell, comb}) {
    const double expected = polygon.size() == 6 ? 12.0 : 10.0;
    CHECK(covered(polygon) == doctest::Approx(expected));
    std::reverse(polygon.begin(), polygon.end());
    CHECK(covered(polygon) == doctest::Approx(expected));
  }
}

TEST_CASE("triangulate: collinear and repeated corners change nothing, lines have no triangles") {
  CHECK(covered({{0, 0}, {1, 0}, {2, 0}, {2, 0}, {2, 2}, {1, 2}, {0, 2}, {0, 1}}) ==
        doctest::Approx(4.0));
  CHECK(triangulate(std::vector<Vec2>{{0, 0}, {1, 1}, {2, 2}}).empty());
  CHECK(triangulate(std::vector<Vec2>{{0, 0}, {1, 1}}).empty());
}

TEST_CASE("triangulate: a random point is in as many triangles as polygons") {
  const std::vector<Vec2> u = {{0, 0}, {5, 0}, {5, 4}, {3, 4}, {3, 1}, {2, 1}, {2, 4}, {0, 4}};
  const auto triangles = triangulate(u);
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const Vec2 p = {-0.5F + 6.0F * keyed_uniform(1, i, 0, 0, 0),
                    -0.5F + 5.0F * keyed_uniform(1, i, 0, 0, 1)};
    int inside = 0;
    for (const auto& t : triangles) {
      inside += sim::polygon_contains(std::vector<Vec2>{u[t[0]], u[t[1]], u[t[2]]}, p) ? 1 : 0;
    }
    CHECK(inside == (sim::polygon_contains(u, p) ? 1 : 0));
  }
}

}  // namespace
}  // namespace flare::render
