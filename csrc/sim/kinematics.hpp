// How an action moves the base. World::step executes it, the expert looks ahead with it.
#pragma once

#include <optional>

#include "core/geometry.hpp"
#include "sim/action.hpp"
#include "sim/collision.hpp"

namespace flare::sim {

inline constexpr float kMoveStep = 0.2F;         // m
inline constexpr float kRotateStep = 30.0F;      // degrees
inline constexpr float kRotateSmallStep = 6.0F;  // degrees

/// The agent's reference point and heading.
struct Pose {
  Vec2 position;
  float yaw_deg = 0.0F;  // [0, 360)
};

/// Where the body's disc is: behind the reference point, so that turning moves it.
inline Vec2 disc_centre(const Pose& pose) {
  return pose.position + heading(pose.yaw_deg) * kBodyCentreOffset;
}

/// The same angle in [0, 360).
float positive_degrees(float angle_deg);

/// The pose after a base action, empty if the body would hit something on the way. Actions that do
/// not move the base leave the pose as it is.
std::optional<Pose> moved(const CollisionMap& collision, const Pose& pose, Action action);

}  // namespace flare::sim
