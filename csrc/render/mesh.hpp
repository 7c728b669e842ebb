// Convex faces with their planes, and the builder that assembles proxy bodies from convex parts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/geometry.hpp"
#include "sim/house.hpp"

namespace flare::render {

/// A convex polygon seen from the side its normal points to. Plane: dot(normal, p) = offset.
struct Face {
  Vec3 normal;
  float offset = 0.0F;
  std::uint32_t first = 0;  // into Mesh::indices
  std::uint16_t count = 0;
  std::int16_t surface = -1;  // index into Structure::surfaces, -1: flat `color`
  sim::Color color;           // unlit
};

struct Mesh {
  std::vector<float> x, y, z;  // [vertices] m, world
  std::vector<std::uint16_t> indices;
  std::vector<Face> faces;

  /// Ends building: pads the vertices to whole vectors of eight.
  void pad();
  /// The same for a mesh that is kept: gives back memory that is not used.
  void seal();

  [[nodiscard]] std::size_t num_triangles() const;
  [[nodiscard]] std::size_t bytes() const;
};

inline constexpr std::size_t kMaxFaceVertices = 24;

sim::Color mix(sim::Color a, sim::Color b, float weight_of_b);

/// A plane and the side it is seen from: dot(normal, p) = offset, seen from where it is larger.
struct Plane {
  Vec3 normal;
  float offset = 0.0F;
};

/// Adds a polygon of a given plane. Faces of one plane have the same depth at every pixel to the
/// last bit, so that of two that overlap the first drawn shows.
void add_face(Mesh& mesh, std::span<const Vec3> corners, const Plane& plane, sim::Color color,
              std::int16_t surface = -1);

/// The same with the plane of its corners; `towards` is a point on the side it shall be seen from.
/// Polygons without area are left out.
void add_face(Mesh& mesh, std::span<const Vec3> corners, Vec3 towards, sim::Color color);

/// A transform from the unit box [-0.5, 0.5]^3 to the world.
struct BoxTransform {
  Vec3 center;
  Vec3 axis_x, axis_y, axis_z;  // scaled by the box's size

  [[nodiscard]] Vec3 apply(Vec3 p) const {
    return center + axis_x * p.x + axis_y * p.y + axis_z * p.z;
  }
};

/// One ring of a lathed part: radius along x and z, height, in the unit box.
struct Ring {
  float y = 0.0F;
  float rx = 0.0F;
  float rz = 0.0F;
};

/// Assembles convex parts, given in the unit box, into a mesh in the world.
class MeshBuilder {
 public:
  MeshBuilder(Mesh& mesh, const BoxTransform& transform) : mesh_(mesh), transform_(transform) {}

  void box(Vec3 low, Vec3 high, sim::Color color);

  /// Rings joined by `segments` quads each, closed by polygons at both ends where the radius is
  /// not zero. Seen from inside too if `open` (then without the top polygon).
  void lathe(float x, float z, std::span<const Ring> rings, int segments, sim::Color color,
             bool open = false);

 private:
  void face(std::span<const Vec3> corners, Vec3 part_center, sim::Color color, bool inside = false);

  Mesh& mesh_;
  const BoxTransform& transform_;
};

}  // namespace flare::render
