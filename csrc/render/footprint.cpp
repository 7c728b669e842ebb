#include "render/footprint.hpp"

#include <cmath>

#include "sim/polygon.hpp"

namespace flare::render {
namespace {

constexpr float kTouch = 0.03F;  // m, how far a footprint reaches for a room it leans against

bool segments_cross(Vec2 a, Vec2 b, Vec2 c, Vec2 d) {
  const auto side = [](Vec2 o, Vec2 p, Vec2 q) {
    return (p.x - o.x) * (q.z - o.z) - (p.z - o.z) * (q.x - o.x);
  };
  return side(a, b, c) * side(a, b, d) <= 0.0F && side(c, d, a) * side(c, d, b) <= 0.0F;
}

}  // namespace

std::array<Vec2, 4> footprint(const BoxTransform& box) {
  // For a tilted box the extents along its turned x and z axes cover all corners.
  const Vec2 ax = {box.axis_x.x, box.axis_x.z};
  const float len = length(ax);
  const Vec2 u = len > 1e-6F ? ax * (1.0F / len) : Vec2{1.0F, 0.0F};
  const Vec2 w = {-u.z, u.x};
  const auto reach = [&box](Vec2 d) {
    const auto along = [d](Vec3 axis) { return std::abs(axis.x * d.x + axis.z * d.z); };
    return 0.5F * (along(box.axis_x) + along(box.axis_y) + along(box.axis_z)) + kTouch;
  };
  const Vec2 c = {box.center.x, box.center.z};
  const Vec2 du = u * reach(u);
  const Vec2 dw = w * reach(w);
  return {c - du - dw, c + du - dw, c + du + dw, c - du + dw};
}

bool overlap(const std::array<Vec2, 4>& box, std::span<const Vec2> polygon) {
  if (sim::polygon_contains(polygon, box[0]) || sim::polygon_contains(box, polygon[0])) return true;
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    const Vec2 a = polygon[i];
    const Vec2 b = polygon[(i + 1) % polygon.size()];
    for (std::size_t k = 0; k < 4; ++k) {
      if (segments_cross(a, b, box[k], box[(k + 1) % 4])) return true;
    }
  }
  return false;
}

}  // namespace flare::render
