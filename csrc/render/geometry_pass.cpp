#include "render/geometry_pass.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "render/simd.hpp"

namespace flare::render {
namespace {

// Clip planes: the near plane, and the guard band that keeps pixel coordinates within the range
// of exact arithmetic. What is outside of one side of the image is dropped without clipping.
constexpr std::int32_t kNear = 1;
constexpr std::int32_t kGuardRight = 2, kGuardLeft = 4, kGuardTop = 8, kGuardBottom = 16;
constexpr std::int32_t kClipped = kNear | kGuardRight | kGuardLeft | kGuardTop | kGuardBottom;
constexpr std::int32_t kRight = 32, kLeft = 64, kTop = 128, kBottom = 256;

/// A camera this near to a face's plane, in metres, sees it edge-on: nothing.
constexpr float kEdgeOn = 1e-5F;

constexpr float kSubpixels = static_cast<float>(1 << kSubpixelBits);

/// Pixels to 1/256 pixel; what lies beyond the guard band is clipped before it is used.
I32x8 to_fixed(F32x8 pixels) {
  const F32x8 bounded = min(max(pixels, splat(-kGuardBand)), splat(kGuardBand));
  return floor_to_int(bounded * kSubpixels + 0.5F);
}

std::int32_t to_fixed(float pixels) {
  return static_cast<std::int32_t>(
      std::floor(std::clamp(pixels, -kGuardBand, kGuardBand) * kSubpixels + 0.5F));
}

/// Sutherland and Hodgman 1974, one plane. Cuts an edge from its inner to its outer end, so that
/// two faces that share the edge are cut at the same point.
template <typename Distance>
void clip(std::span<const Vec3> polygon, const Distance& distance, std::vector<Vec3>& out) {
  out.clear();
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    const Vec3 a = polygon[i];
    const Vec3 b = polygon[(i + 1) % polygon.size()];
    const float da = distance(a);
    const float db = distance(b);
    if (da >= 0.0F) out.push_back(a);
    if ((da >= 0.0F) == (db >= 0.0F)) continue;
    const Vec3 inner = da >= 0.0F ? a : b;
    const Vec3 outer = da >= 0.0F ? b : a;
    const float t = std::max(da, db) / std::abs(da - db);
    out.push_back(inner + (outer - inner) * t);
  }
}

}  // namespace

void GeometryPass::Vertices::resize(std::size_t size) {
  if (x.size() >= size) return;
  for (std::vector<float>* plane : {&x, &y, &z, &inverse_z}) plane->resize(size);
  for (std::vector<std::int32_t>* plane : {&pixel_x, &pixel_y, &outside}) plane->resize(size);
}

void GeometryPass::begin() {
  primitives_.assign(1, Primitive{});
  textured_.clear();
}

void GeometryPass::look(const View& view, const Lighting& lighting, const Finish& finish) {
  view_ = view;
  lighting_ = lighting;
  finish_ = finish;
  guard_ = 0.5F * kGuardBand / view.focal;
}

/// Eight vertices in camera coordinates.
void GeometryPass::project(std::size_t first, F32x8 x, F32x8 y, F32x8 z) {
  const F32x8 inverse_z = 1.0F / z;
  const F32x8 guard = z * guard_;
  const F32x8 side = z * view_.tan_x;
  const F32x8 top = z * view_.tan_y;
  store(&vertices_.x[first], x);
  store(&vertices_.y[first], y);
  store(&vertices_.z[first], z);
  store(&vertices_.inverse_z[first], inverse_z);
  store(&vertices_.pixel_x[first], to_fixed(view_.cx + x * inverse_z * view_.focal));
  store(&vertices_.pixel_y[first], to_fixed(view_.cy - y * inverse_z * view_.focal));
  const I32x8 outside = ((z < view_.near_plane) & kNear) | ((x > guard) & kGuardRight) |
                        ((-x > guard) & kGuardLeft) | ((y > guard) & kGuardTop) |
                        ((-y > guard) & kGuardBottom) | ((x > side) & kRight) |
                        ((-x > side) & kLeft) | ((y > top) & kTop) | ((-y > top) & kBottom);
  store(&vertices_.outside[first], outside);
}

void GeometryPass::transform(const Mesh& mesh) {
  const std::size_t size = mesh.x.size();
  vertices_.resize(size);
  const View& v = view_;
  for (std::size_t i = 0; i < size; i += kLanes) {
    const F32x8 dx = load<F32x8>(&mesh.x[i]) - v.position.x;
    const F32x8 dy = load<F32x8>(&mesh.y[i]) - v.position.y;
    const F32x8 dz = load<F32x8>(&mesh.z[i]) - v.position.z;
    project(i, dx * v.right.x + dy * v.right.y + dz * v.right.z,
            dx * v.up.x + dy * v.up.y + dz * v.up.z,
            dx * v.ahead.x + dy * v.ahead.y + dz * v.ahead.z);
  }
}

void GeometryPass::make_clipped_polygon(std::span<const std::uint16_t> indices,
                                        std::int32_t planes) {
  uncut_.clear();
  for (const std::size_t k : indices) {
    uncut_.push_back({vertices_.x[k], vertices_.y[k], vertices_.z[k]});
  }
  const auto cut = [&](std::int32_t plane, const auto& distance) {
    if ((planes & plane) == 0) return;
    clip(uncut_, distance, cut_);
    uncut_.swap(cut_);
  };
  const float near_plane = view_.near_plane;
  const float guard = guard_;
  cut(kNear, [near_plane](Vec3 p) { return p.z - near_plane; });
  cut(kGuardRight, [guard](Vec3 p) { return guard * p.z - p.x; });
  cut(kGuardLeft, [guard](Vec3 p) { return guard * p.z + p.x; });
  cut(kGuardTop, [guard](Vec3 p) { return guard * p.z - p.y; });
  cut(kGuardBottom, [guard](Vec3 p) { return guard * p.z + p.y; });
  polygon_.size = uncut_.size();
  polygon_.nearest = 0.0F;
  polygon_.farthest = 1.0F / near_plane;
  for (std::size_t i = 0; i < polygon_.size; ++i) {
    const Vec3 p = uncut_[i];
    const float inverse_z = 1.0F / std::max(p.z, near_plane);
    polygon_.corners[i] = {to_fixed(view_.cx + p.x * inverse_z * view_.focal),
                           to_fixed(view_.cy - p.y * inverse_z * view_.focal)};
    polygon_.nearest = std::max(polygon_.nearest, inverse_z);
    polygon_.farthest = std::min(polygon_.farthest, inverse_z);
  }
}

/// Returns false if the face is out of sight.
bool GeometryPass::make_polygon(std::span<const std::uint16_t> indices) {
  std::int32_t any = 0;
  std::int32_t all = ~0;
  polygon_.size = indices.size();
  polygon_.nearest = polygon_.farthest = vertices_.inverse_z[indices[0]];
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const std::size_t k = indices[i];
    any |= vertices_.outside[k];
    all &= vertices_.outside[k];
    polygon_.corners[i] = {vertices_.pixel_x[k], vertices_.pixel_y[k]};
    polygon_.nearest = std::max(polygon_.nearest, vertices_.inverse_z[k]);
    polygon_.farthest = std::min(polygon_.farthest, vertices_.inverse_z[k]);
  }
  if (all != 0) return false;
  if ((any & kClipped) != 0) make_clipped_polygon(indices, any);
  return polygon_.size >= 3;
}

/// A ray (dx, dy, 1) in camera axes meets the plane where 1/depth = -normal . ray / height; the
/// range of the corners bounds it where the plane is seen nearly edge-on.
InverseDepth GeometryPass::depth_of(const Face& face, float height) const {
  InverseDepth depth;
  const float per_height = -1.0F / height;
  const float scale = per_height / view_.focal;
  depth.a = dot(face.normal, view_.right) * scale;
  depth.b = -dot(face.normal, view_.up) * scale;
  depth.c = dot(face.normal, view_.ahead) * per_height - depth.a * view_.cx - depth.b * view_.cy;
  depth.low = polygon_.farthest;
  depth.high = polygon_.nearest;
  return depth;
}

void GeometryPass::draw(const Mesh& mesh, std::uint16_t object_id, const PixelRect& scissor,
                        Canvas& canvas) {
  transform(mesh);
  for (const Face& face : mesh.faces) {
    const float height = dot(face.normal, view_.position) - face.offset;
    if (!(height > kEdgeOn) || !make_polygon({&mesh.indices[face.first], face.count})) continue;
    const auto primitive = static_cast<std::uint32_t>(primitives_.size());
    const std::span<const FixedPoint> corners(polygon_.corners.data(), polygon_.size);
    if (canvas.fill(corners, scissor, depth_of(face, height), primitive)) {
      const std::uint32_t color =
          face.surface < 0 ? lighting_.shade(finish_.apply(face.color), face.normal) : 0U;
      primitives_.push_back({color, face.surface, object_id});
    }
  }
}

}  // namespace flare::render
