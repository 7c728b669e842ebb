#include "render/mesh.hpp"

#include <algorithm>
#include <array>

#include "core/assert.hpp"
#include "render/simd.hpp"
#include "render/trigonometry.hpp"

namespace flare::render {
namespace {

/// Newell's normal: sums over all edges, so that it holds for polygons with collinear corners.
Vec3 area_normal(std::span<const Vec3> corners) {
  Vec3 n;
  for (std::size_t i = 0; i < corners.size(); ++i) {
    n = n + cross(corners[i] - corners[0], corners[(i + 1) % corners.size()] - corners[0]);
  }
  return n;
}

Vec3 mean(std::span<const Vec3> points) {
  Vec3 sum;
  for (const Vec3 p : points) sum = sum + p;
  return sum * (1.0F / static_cast<float>(points.size()));
}

/// Index of a vertex, shared with an equal one among the latest: neighbours of a part are near.
std::uint16_t add_vertex(Mesh& mesh, Vec3 p) {
  constexpr std::size_t kLookBack = 64;
  const std::size_t n = mesh.x.size();
  for (std::size_t i = n; i-- > (n > kLookBack ? n - kLookBack : 0);) {
    if (mesh.x[i] == p.x && mesh.y[i] == p.y && mesh.z[i] == p.z) {
      return static_cast<std::uint16_t>(i);
    }
  }
  mesh.x.push_back(p.x);
  mesh.y.push_back(p.y);
  mesh.z.push_back(p.z);
  return static_cast<std::uint16_t>(n);
}

}  // namespace

void Mesh::pad() {
  const std::size_t size = (x.size() + kLanes - 1) / kLanes * kLanes;
  for (std::vector<float>* axis : {&x, &y, &z}) {
    axis->resize(size, axis->empty() ? 0.0F : axis->back());
  }
}

void Mesh::seal() {
  pad();
  for (std::vector<float>* axis : {&x, &y, &z}) axis->shrink_to_fit();
  indices.shrink_to_fit();
  faces.shrink_to_fit();
}

std::size_t Mesh::num_triangles() const {
  std::size_t n = 0;
  for (const Face& face : faces) n += face.count - 2U;
  return n;
}

std::size_t Mesh::bytes() const {
  return (x.capacity() + y.capacity() + z.capacity()) * sizeof(float) +
         indices.capacity() * sizeof(std::uint16_t) + faces.capacity() * sizeof(Face);
}

sim::Color mix(sim::Color a, sim::Color b, float weight_of_b) {
  const float w = weight_of_b;
  return {a.r + (b.r - a.r) * w, a.g + (b.g - a.g) * w, a.b + (b.b - a.b) * w};
}

void add_face(Mesh& mesh, std::span<const Vec3> corners, Vec3 towards, sim::Color color) {
  Vec3 normal = area_normal(corners);
  const float area = length(normal);
  if (!(area > 1e-9F)) return;
  normal = normal * (1.0F / area);
  const Vec3 middle = mean(corners);
  if (dot(normal, towards - middle) < 0.0F) normal = normal * -1.0F;
  add_face(mesh, corners, Plane{normal, dot(normal, middle)}, color);
}

void add_face(Mesh& mesh, std::span<const Vec3> corners, const Plane& plane, sim::Color color,
              std::int16_t surface) {
  FLARE_ASSERT(corners.size() >= 3 && corners.size() <= kMaxFaceVertices);
  Face face;
  face.normal = plane.normal;
  face.offset = plane.offset;
  face.first = static_cast<std::uint32_t>(mesh.indices.size());
  face.count = static_cast<std::uint16_t>(corners.size());
  face.surface = surface;
  face.color = color;
  for (const Vec3 corner : corners) mesh.indices.push_back(add_vertex(mesh, corner));
  mesh.faces.push_back(face);
}

void MeshBuilder::face(std::span<const Vec3> corners, Vec3 part_center, sim::Color color,
                       bool inside) {
  std::array<Vec3, kMaxFaceVertices> world;
  for (std::size_t i = 0; i < corners.size(); ++i) world[i] = transform_.apply(corners[i]);
  const std::span<const Vec3> used(world.data(), corners.size());
  const Vec3 center = transform_.apply(part_center);
  const Vec3 outwards = mean(used) * 2.0F - center;
  add_face(mesh_, used, inside ? center : outwards, color);
}

void MeshBuilder::box(Vec3 low, Vec3 high, sim::Color color) {
  const Vec3 center = (low + high) * 0.5F;
  const auto corner = [&](int i) {
    return Vec3{(i & 1) != 0 ? high.x : low.x, (i & 2) != 0 ? high.y : low.y,
                (i & 4) != 0 ? high.z : low.z};
  };
  constexpr std::array<std::array<int, 4>, 6> kSides = {
      {{0, 1, 3, 2}, {4, 5, 7, 6}, {0, 1, 5, 4}, {2, 3, 7, 6}, {0, 2, 6, 4}, {1, 3, 7, 5}}};
  for (const auto& side : kSides) {
    const std::array<Vec3, 4> corners = {corner(side[0]), corner(side[1]), corner(side[2]),
                                         corner(side[3])};
    face(corners, center, color);
  }
}

void MeshBuilder::lathe(float x, float z, std::span<const Ring> rings, int segments,
                        sim::Color color, bool open) {
  FLARE_ASSERT(rings.size() >= 2 && segments >= 3 &&
               segments <= static_cast<int>(kMaxFaceVertices));
  const Vec3 center = {x, 0.5F * (rings.front().y + rings.back().y), z};
  const auto point = [&](const Ring& ring, int k) {
    const SinCos a =
        sin_cos_deg(360.0F * static_cast<float>(k % segments) / static_cast<float>(segments));
    return Vec3{x + ring.rx * a.sin, ring.y, z + ring.rz * a.cos};
  };
  for (std::size_t r = 0; r + 1 < rings.size(); ++r) {
    const Ring& a = rings[r];
    const Ring& b = rings[r + 1];
    for (int k = 0; k < segments; ++k) {
      std::array<Vec3, 4> corners{};
      std::size_t n = 0;
      corners[n++] = point(a, k);
      if (a.rx > 0.0F) corners[n++] = point(a, k + 1);
      if (b.rx > 0.0F) corners[n++] = point(b, k + 1);
      corners[n++] = point(b, k);
      const std::span<const Vec3> used(corners.data(), n);
      if (n < 3) continue;
      face(used, center, color);
      if (open) face(used, center, mix(color, {0.0F, 0.0F, 0.0F}, 0.25F), true);
    }
  }
  std::array<Vec3, kMaxFaceVertices> cap;
  for (const Ring* ring : {&rings.front(), &rings.back()}) {
    if (ring->rx <= 0.0F || (open && ring == &rings.back())) continue;
    for (int k = 0; k < segments; ++k) cap[static_cast<std::size_t>(k)] = point(*ring, k);
    face(std::span<const Vec3>(cap.data(), static_cast<std::size_t>(segments)), center, color);
  }
}

}  // namespace flare::render
