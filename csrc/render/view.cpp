#include "render/view.hpp"

#include <cmath>

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

}  // namespace flare::render
