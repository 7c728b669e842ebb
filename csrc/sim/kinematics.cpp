#include "sim/kinematics.hpp"

#include <cmath>

namespace flare::sim {
namespace {

Pose target_pose(const Pose& pose, Action action) {
  const Vec2 ahead = heading(pose.yaw_deg);
  switch (action) {
    case Action::kMoveAhead:
      return {pose.position + ahead * kMoveStep, pose.yaw_deg};
    case Action::kMoveBack:
      return {pose.position - ahead * kMoveStep, pose.yaw_deg};
    case Action::kRotateRight:
      return {pose.position, positive_degrees(pose.yaw_deg + kRotateStep)};
    case Action::kRotateLeft:
      return {pose.position, positive_degrees(pose.yaw_deg - kRotateStep)};
    case Action::kRotateRightSmall:
      return {pose.position, positive_degrees(pose.yaw_deg + kRotateSmallStep)};
    case Action::kRotateLeftSmall:
      return {pose.position, positive_degrees(pose.yaw_deg - kRotateSmallStep)};
    default:
      return pose;
  }
}

}  // namespace

float positive_degrees(float angle_deg) {
  float a = std::fmod(angle_deg, 360.0F);
  if (a < 0.0F) a += 360.0F;
  return a < 360.0F ? a : 0.0F;  // -1e-9 + 360 rounds to 360
}

std::optional<Pose> moved(const CollisionMap& collision, const Pose& pose, Action action) {
  const Pose target = target_pose(pose, action);
  // A turn swings the disc along an arc of 0.11 m; its chord is what is swept.
  if (collision.sweep_blocked(disc_centre(pose), disc_centre(target))) return std::nullopt;
  return target;
}

}  // namespace flare::sim
