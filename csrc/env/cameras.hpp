// The robot's two cameras in a world's current state.
#pragma once

#include "render/camera.hpp"
#include "sim/world.hpp"

namespace flare::env {

inline constexpr int kNavigationCamera = 0;
inline constexpr int kManipulationCamera = 1;
inline constexpr int kNumCameras = 2;

/// Pose and projection of a camera that is mounted on the robot's body (sim/body.hpp).
render::Camera mounted_camera(const sim::WorldState& state, int camera);

}  // namespace flare::env
