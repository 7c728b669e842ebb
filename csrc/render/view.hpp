// A camera made ready for one image: orthonormal axes and the projection to pixels.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "render/camera.hpp"

namespace flare::render {

/// Half-open rectangle of pixels.
struct PixelRect {
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;

  [[nodiscard]] bool empty() const { return x0 >= x1 || y0 >= y1; }
  [[nodiscard]] bool contains(const PixelRect& o) const {
    return x0 <= o.x0 && y0 <= o.y0 && x1 >= o.x1 && y1 >= o.y1;
  }
};

inline PixelRect intersect(const PixelRect& a, const PixelRect& b) {
  return {std::max(a.x0, b.x0), std::max(a.y0, b.y0), std::min(a.x1, b.x1), std::min(a.y1, b.y1)};
}

/// Smallest rectangle that holds both.
inline PixelRect hull(const PixelRect& a, const PixelRect& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  return {std::min(a.x0, b.x0), std::min(a.y0, b.y0), std::max(a.x1, b.x1), std::max(a.y1, b.y1)};
}

/// Camera coordinates are (right, up, ahead) in metres. A point (X, Y, Z) falls on the pixel
/// position (cx + focal X/Z, cy - focal Y/Z); pixel (i, j) has its centre at (i + 0.5, j + 0.5).
struct View {
  Vec3 position;
  Vec3 right, up, ahead;
  float focal = 1.0F;  // px
  float cx = 0.0F, cy = 0.0F;
  float near_plane = 0.01F;
  float tan_x = 1.0F, tan_y = 1.0F;  // half angles of the frustum
  int width = 0, height = 0;

  [[nodiscard]] Vec3 to_camera(Vec3 p) const {
    const Vec3 d = p - position;
    return {dot(d, right), dot(d, up), dot(d, ahead)};
  }
  [[nodiscard]] PixelRect full() const { return {0, 0, width, height}; }
};

View make_view(const Camera& camera, int width, int height);

/// Is any of the sphere in the frustum? Errs towards yes.
bool sphere_in_view(const View& view, Vec3 camera_center, float radius);

/// The corners of a box, a coordinate each.
struct BoxCorners {
  std::array<float, 8> x{}, y{}, z{};
};

struct ScreenBounds {
  PixelRect rect;
  float inverse_depth = 0.0F;  // 1/m, of the nearest corner
};

/// What a box can cover at most. A box that reaches behind the near plane may cover everything.
ScreenBounds bounds_of(const View& view, const BoxCorners& box);

}  // namespace flare::render
