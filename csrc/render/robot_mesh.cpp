#include "render/robot_mesh.hpp"

#include <array>

namespace flare::render {
namespace {

constexpr int kSegments = 12;  // of a cylinder

Vec3 corner(const Mesh& mesh, const Face& face) {
  const std::size_t k = mesh.indices[face.first];
  return {mesh.x[k], mesh.y[k], mesh.z[k]};
}

}  // namespace

RobotMesh::RobotMesh() {
  const BoxTransform unit = {{}, {1.0F, 0.0F, 0.0F}, {0.0F, 1.0F, 0.0F}, {0.0F, 0.0F, 1.0F}};
  MeshBuilder(box_, unit).box({-0.5F, -0.5F, -0.5F}, {0.5F, 0.5F, 0.5F}, {});
  MeshBuilder(cylinder_, unit)
      .lathe(0.0F, 0.0F, std::array<Ring, 2>{{{-0.5F, 0.5F, 0.5F}, {0.5F, 0.5F, 0.5F}}}, kSegments,
             {});
  box_.seal();
  cylinder_.seal();
}

const Mesh& RobotMesh::place(const RobotPart& part) {
  const Mesh& unit = part.is_round ? cylinder_ : box_;
  const BoxTransform to_world = {part.center, part.axis_x, part.axis_y, part.axis_z};
  // Normals turn with the cofactors of the axes; their sign is that of the axes' handedness.
  const Vec3 yz = cross(part.axis_y, part.axis_z);
  const Vec3 zx = cross(part.axis_z, part.axis_x);
  const Vec3 xy = cross(part.axis_x, part.axis_y);
  const float sign = dot(part.axis_x, yz) < 0.0F ? -1.0F : 1.0F;
  placed_.indices = unit.indices;
  placed_.faces.clear();
  for (std::vector<float>* axis : {&placed_.x, &placed_.y, &placed_.z}) axis->resize(unit.x.size());
  for (std::size_t i = 0; i < unit.x.size(); ++i) {
    const Vec3 p = to_world.apply({unit.x[i], unit.y[i], unit.z[i]});
    placed_.x[i] = p.x;
    placed_.y[i] = p.y;
    placed_.z[i] = p.z;
  }
  for (const Face& face : unit.faces) {
    const Vec3 n = yz * face.normal.x + zx * face.normal.y + xy * face.normal.z;
    const float size = length(n);
    if (!(size > 0.0F)) continue;
    Face placed = face;
    placed.normal = n * (sign / size);
    placed.offset = dot(placed.normal, corner(placed_, face));
    placed.color = part.color;
    placed_.faces.push_back(placed);
  }
  return placed_;
}

}  // namespace flare::render
