// Where a camera is and how it projects. Angles in degrees, lengths in metres.
#pragma once

#include <cstdint>

#include "core/geometry.hpp"

namespace flare::render {

struct Camera {
  Vec3 position;
  float yaw_deg = 0.0F;    // clockwise from above, 0 looks along +z
  float pitch_deg = 0.0F;  // positive looks down
  float vertical_fov_deg = 59.0F;
  float near_plane = 0.01F;
};

inline constexpr std::uint16_t kRobotId = 65535;

/// Caller-owned outputs of one image, row-major from the top left. A null pointer is not written.
struct ImageView {
  int width = 0;
  int height = 0;
  std::uint8_t* rgb = nullptr;   // [height, width, 3]
  float* depth = nullptr;        // [height, width] m along the optical axis, 0 where nothing is
  std::uint16_t* ids = nullptr;  // [height, width] 0 structure or nothing, 1 + k object k, kRobotId
};

}  // namespace flare::render
