// The robot's arm and hand as bodies to draw.
#pragma once

#include <array>
#include <span>

#include "render/rasterizer.hpp"
#include "sim/kinematics.hpp"

namespace flare::env {

inline constexpr std::size_t kMostParts = 5;
using RobotParts = std::array<render::RobotPart, kMostParts>;

/// Arm, wrist, palm and the two fingers, which end beyond the hand sphere's centre; none without an
/// arm. Returns the parts written.
std::span<const render::RobotPart> draw_parts(const sim::RobotSpec& robot, const sim::Pose& pose,
                                              RobotParts& parts);

}  // namespace flare::env
