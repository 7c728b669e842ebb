// The robot's own body in its cameras: unit boxes and cylinders put where its parts are.
#pragma once

#include "render/mesh.hpp"
#include "render/rasterizer.hpp"

namespace flare::render {

class RobotMesh {
 public:
  RobotMesh();

  /// The part's mesh in the world, valid until the next call. A part without volume has no faces.
  const Mesh& place(const RobotPart& part);

 private:
  Mesh box_, cylinder_;  // in the unit box
  Mesh placed_;
};

}  // namespace flare::render
