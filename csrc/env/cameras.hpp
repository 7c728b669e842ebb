// A robot's cameras in a world's current state.
#pragma once

#include "render/camera.hpp"
#include "sim/world.hpp"

namespace flare::env {

inline constexpr int kNavigationCamera = 0;
inline constexpr int kManipulationCamera = 1;
inline constexpr int kNumCameras = sim::kMaxCameras;

/// Pose and projection of a camera that the robot has.
render::Camera mounted_camera(const sim::RobotSpec& robot, const sim::WorldState& state,
                              int camera);

}  // namespace flare::env
