#include "render/view.hpp"

#include <cmath>
#include <limits>

#include "render/simd.hpp"
#include "render/trigonometry.hpp"

namespace flare::render {

View make_view(const Camera& camera, int width, int height) {
  const SinCos yaw = sin_cos_deg(camera.yaw_deg);
  const SinCos pitch = sin_cos_deg(camera.pitch_deg);
  const SinCos half_fov = sin_cos_deg(0.5F * camera.vertical_fov_deg);
  View view;
  view.position = camera.position;
  view.right = {yaw.cos, 0.0F, -yaw.sin};
  view.up = {yaw.sin * pitch.sin, pitch.cos, yaw.cos * pitch.sin};
  view.ahead = {yaw.sin * pitch.cos, -pitch.sin, yaw.cos * pitch.cos};
  view.tan_y = half_fov.sin / half_fov.cos;
  view.tan_x = view.tan_y * static_cast<float>(width) / static_cast<float>(height);
  view.focal = 0.5F * static_cast<float>(height) / view.tan_y;
  view.cx = 0.5F * static_cast<float>(width);
  view.cy = 0.5F * static_cast<float>(height);
  view.near_plane = camera.near_plane;
  view.width = width;
  view.height = height;
  return view;
}

bool sphere_in_view(const View& view, Vec3 c, float radius) {
  if (c.z + radius < view.near_plane) return false;
  // Distance to a side plane is (|X| - tan Z) / sqrt(1 + tan^2).
  const float reach_x = radius * std::sqrt(1.0F + view.tan_x * view.tan_x);
  const float reach_y = radius * std::sqrt(1.0F + view.tan_y * view.tan_y);
  return std::abs(c.x) - view.tan_x * c.z <= reach_x && std::abs(c.y) - view.tan_y * c.z <= reach_y;
}

ScreenBounds bounds_of(const View& view, const BoxCorners& box) {
  const F32x8 dx = load<F32x8>(box.x.data()) - view.position.x;
  const F32x8 dy = load<F32x8>(box.y.data()) - view.position.y;
  const F32x8 dz = load<F32x8>(box.z.data()) - view.position.z;
  const F32x8 z = dx * view.ahead.x + dy * view.ahead.y + dz * view.ahead.z;
  if (lane_bits(z < view.near_plane) != 0) {
    return {view.full(), std::numeric_limits<float>::infinity()};
  }
  const F32x8 inverse_z = 1.0F / z;
  const F32x8 scale = inverse_z * view.focal;
  const auto width = static_cast<float>(view.width);
  const auto height = static_cast<float>(view.height);
  const F32x8 px = view.cx + (dx * view.right.x + dy * view.right.y + dz * view.right.z) * scale;
  const F32x8 py = view.cy - (dx * view.up.x + dy * view.up.y + dz * view.up.z) * scale;
  const I32x8 column = to_int(min(max(px, splat(-2.0F)), splat(width + 2.0F)));
  const I32x8 line = to_int(min(max(py, splat(-2.0F)), splat(height + 2.0F)));
  PixelRect rect = {column[0], line[0], column[0], line[0]};
  float nearest = inverse_z[0];
  for (int lane = 1; lane < kLanes; ++lane) {
    rect.x0 = std::min(rect.x0, column[lane]);
    rect.x1 = std::max(rect.x1, column[lane]);
    rect.y0 = std::min(rect.y0, line[lane]);
    rect.y1 = std::max(rect.y1, line[lane]);
    nearest = std::max(nearest, inverse_z[lane]);
  }
  // Truncation and the rounding of corners to 1/256 pixel: one pixel to every side.
  rect = {rect.x0 - 1, rect.y0 - 1, rect.x1 + 2, rect.y1 + 2};
  return {intersect(view.full(), rect), nearest};
}

}  // namespace flare::render
