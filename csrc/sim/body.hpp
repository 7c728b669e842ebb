// Where the cameras sit on the Stretch body, relative to the agent's reference point (x right, y
// up, z ahead); values of AI2-THOR's Stretch agent (reference points and poses as its metadata).
#pragma once

#include "core/geometry.hpp"

namespace flare::sim {

inline constexpr float kAgentHeight = 0.9009982F;  // m, y of the reference point
inline constexpr Vec3 kNavigationMount = {0.00192035F, 0.5447009F, 0.0678804F};
inline constexpr Vec3 kManipulationMount = {0.05390513F, 0.5238336F, -0.05884857F};
inline constexpr float kManipulationYaw = 90.0F;  // degrees, it looks to the robot's right

}  // namespace flare::sim
