#include "render/triangulate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace flare::render {
namespace {

double cross(Vec2 o, Vec2 a, Vec2 b) {
  const double ax = static_cast<double>(a.x) - static_cast<double>(o.x);
  const double az = static_cast<double>(a.z) - static_cast<double>(o.z);
  const double bx = static_cast<double>(b.x) - static_cast<double>(o.x);
  const double bz = static_cast<double>(b.z) - static_cast<double>(o.z);
  return ax * bz - az * bx;
}

double signed_area(std::span<const Vec2> polygon) {
  double sum = 0.0;
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    sum += cross(polygon[0], polygon[i], polygon[(i + 1) % polygon.size()]);
  }
  return sum;
}

/// In a polygon of positive area: is the corner convex, with no other corner inside its triangle?
bool is_ear(std::span<const Vec2> polygon, std::span<const std::size_t> left, std::size_t at) {
  const std::size_t n = left.size();
  const Vec2 a = polygon[left[(at + n - 1) % n]];
  const Vec2 b = polygon[left[at]];
  const Vec2 c = polygon[left[(at + 1) % n]];
  if (cross(a, b, c) <= 0.0) return false;
  for (const std::size_t k : left) {
    const Vec2 p = polygon[k];
    const auto is = [p](Vec2 q) { return p.x == q.x && p.z == q.z; };
    if (is(a) || is(b) || is(c)) continue;
    if (cross(a, b, p) >= 0.0 && cross(b, c, p) >= 0.0 && cross(c, a, p) >= 0.0) return false;
  }
  return true;
}

/// An ear; of a degenerate rest the flattest corner, whose triangle is empty.
std::size_t next_ear(std::span<const Vec2> polygon, std::span<const std::size_t> left) {
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (is_ear(polygon, left, i)) return i;
  }
  std::size_t flattest = 0;
  double smallest = -1.0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const std::size_t n = left.size();
    const double area = std::abs(
        cross(polygon[left[(i + n - 1) % n]], polygon[left[i]], polygon[left[(i + 1) % n]]));
    if (smallest >= 0.0 && area >= smallest) continue;
    smallest = area;
    flattest = i;
  }
  return flattest;
}

}  // namespace

std::vector<std::array<std::size_t, 3>> triangulate(std::span<const Vec2> polygon) {
  std::vector<std::array<std::size_t, 3>> triangles;
  if (polygon.size() < 3) return triangles;
  std::vector<std::size_t> left(polygon.size());
  std::iota(left.begin(), left.end(), std::size_t{0});
  if (signed_area(polygon) < 0.0) std::reverse(left.begin(), left.end());
  while (left.size() >= 3) {
    const std::size_t ear = next_ear(polygon, left);
    const std::size_t n = left.size();
    const std::array<std::size_t, 3> t = {left[(ear + n - 1) % n], left[ear], left[(ear + 1) % n]};
    if (cross(polygon[t[0]], polygon[t[1]], polygon[t[2]]) > 0.0) triangles.push_back(t);
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(ear));
  }
  return triangles;
}

}  // namespace flare::render
