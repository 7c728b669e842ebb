#include "render/geometry_pass.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace flare::render {
namespace {

// Clip planes: the near plane, and the guard band that keeps pixel coordinates within the range
// of exact arithmetic. What is outside of one side of the image is dropped without clipping.
constexpr std::uint32_t kNear = 1;
constexpr std::uint32_t kGuardRight = 2, kGuardLeft = 4, kGuardTop = 8, kGuardBottom = 16;
constexpr std::uint32_t kGuards = kGuardRight | kGuardLeft | kGuardTop | kGuardBottom;
constexpr std::uint32_t kRight = 32, kLeft = 64, kTop = 128, kBottom = 256;

/// A camera this near to a face's plane, in metres, sees it edge-on: nothing.
constexpr float kEdgeOn = 1e-5F;

std::int32_t to_fixed(float pixels) {
  return static_cast<std::int32_t>(
      std::floor(pixels * static_cast<float>(1 << kSubpixelBits) + 0.5F));
}

}  // namespace

void GeometryPass::begin(const View& view) {
  view_ = view;
  guard_x_ = 0.5F * kGuardBand / view.focal;
  guard_y_ = guard_x_;
  primitives_.assign(1, Primitive{});
}

GeometryPass::Vertex GeometryPass::make_vertex(Vec3 p) const {
  Vertex v;
  v.position = p;
  const auto bit = [](bool is_outside, std::uint32_t plane) { return is_outside ? plane : 0U; };
  v.outside = bit(p.z < view_.near_plane, kNear) | bit(p.x > guard_x_ * p.z, kGuardRight) |
              bit(-p.x > guard_x_ * p.z, kGuardLeft) | bit(p.y > guard_y_ * p.z, kGuardTop) |
              bit(-p.y > guard_y_ * p.z, kGuardBottom) | bit(p.x > view_.tan_x * p.z, kRight) |
              bit(-p.x > view_.tan_x * p.z, kLeft) | bit(p.y > view_.tan_y * p.z, kTop) |
              bit(-p.y > view_.tan_y * p.z, kBottom);
  if ((v.outside & (kNear | kGuards)) == 0) {
    const float scale = view_.focal / p.z;
    v.pixel = {to_fixed(view_.cx + p.x * scale), to_fixed(view_.cy - p.y * scale)};
  }
  return v;
}

/// Sutherland and Hodgman 1974. Cuts an edge from its inner to its outer end, so that two faces
/// that share the edge are cut at the same point.
void GeometryPass::clip(std::uint32_t planes) {
  const auto distance = [this](std::uint32_t plane, Vec3 p) {
    switch (plane) {
      case kNear:
        return p.z - view_.near_plane;
      case kGuardRight:
        return guard_x_ * p.z - p.x;
      case kGuardLeft:
        return guard_x_ * p.z + p.x;
      case kGuardTop:
        return guard_y_ * p.z - p.y;
      default:
        return guard_y_ * p.z + p.y;
    }
  };
  for (const std::uint32_t plane : {kNear, kGuardRight, kGuardLeft, kGuardTop, kGuardBottom}) {
    if ((planes & plane) == 0) continue;
    clipped_.clear();
    for (std::size_t i = 0; i < polygon_.size(); ++i) {
      const Vertex& a = polygon_[i];
      const Vertex& b = polygon_[(i + 1) % polygon_.size()];
      const float da = distance(plane, a.position);
      const float db = distance(plane, b.position);
      if (da >= 0.0F) clipped_.push_back(a);
      if ((da >= 0.0F) == (db >= 0.0F)) continue;
      const bool a_inside = da >= 0.0F;
      const Vec3 in = a_inside ? a.position : b.position;
      const Vec3 out = a_inside ? b.position : a.position;
      const float t = (a_inside ? da : db) / std::abs(da - db);
      Vec3 cut = in + (out - in) * t;
      if (plane == kNear) cut.z = view_.near_plane;
      Vertex v;
      v.position = cut;
      clipped_.push_back(v);
    }
    polygon_.swap(clipped_);
  }
  // A cut may lie on a guard plane up to rounding; the projection is bounded all the same.
  for (Vertex& v : polygon_) {
    const float scale = view_.focal / v.position.z;
    const auto bounded = [](float pixels) { return std::clamp(pixels, -kGuardBand, kGuardBand); };
    v.pixel = {to_fixed(bounded(view_.cx + v.position.x * scale)),
               to_fixed(bounded(view_.cy - v.position.y * scale))};
  }
}

void GeometryPass::draw_face(const Mesh& mesh, const Face& face, float height,
                             const PixelRect& scissor, std::uint32_t primitive, Canvas& canvas) {
  polygon_.clear();
  std::uint32_t any = 0;
  std::uint32_t all = ~0U;
  for (std::uint32_t i = 0; i < face.count; ++i) {
    const Vertex& v = vertices_[mesh.indices[face.first + i]];
    polygon_.push_back(v);
    any |= v.outside;
    all &= v.outside;
  }
  if (all != 0) return;
  if ((any & (kNear | kGuards)) != 0) clip(any);
  if (polygon_.size() < 3) return;
  corners_.clear();
  float nearest = polygon_[0].position.z;
  float farthest = nearest;
  for (const Vertex& v : polygon_) {
    corners_.push_back(v.pixel);
    nearest = std::min(nearest, v.position.z);
    farthest = std::max(farthest, v.position.z);
  }
  // A ray (dx, dy, 1) in camera axes meets the plane where 1/depth = -normal . ray / height; the
  // range of the corners bounds it where the plane is seen nearly edge-on.
  InverseDepth depth;
  const float scale = -1.0F / (height * view_.focal);
  depth.a = dot(face.normal, view_.right) * scale;
  depth.b = -dot(face.normal, view_.up) * scale;
  depth.c = -dot(face.normal, view_.ahead) / height - depth.a * view_.cx - depth.b * view_.cy;
  depth.low = 1.0F / farthest;
  depth.high = 1.0F / nearest;
  canvas.fill(corners_, scissor, depth, primitive);
}

void GeometryPass::draw(const Mesh& mesh, std::uint16_t object_id, const PixelRect& scissor,
                        Canvas& canvas) {
  vertices_.clear();
  for (const Vec3 p : mesh.vertices) vertices_.push_back(make_vertex(view_.to_camera(p)));
  for (const Face& face : mesh.faces) {
    const float height = dot(face.normal, view_.position) - face.offset;
    if (!(height > kEdgeOn)) continue;
    const auto primitive = static_cast<std::uint32_t>(primitives_.size());
    primitives_.push_back({face.color, face.surface, object_id});
    draw_face(mesh, face, height, scissor, primitive, canvas);
  }
}

}  // namespace flare::render
