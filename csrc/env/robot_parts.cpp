#include "env/robot_parts.hpp"

namespace flare::env {
namespace {

constexpr Vec3 kUp = {0.0F, 1.0F, 0.0F};
constexpr float kPalmShare = 0.45F;   // of the hand's length
constexpr float kFingerTip = 0.6F;    // of the hand sphere's radius, beyond its centre
constexpr float kFingerWidth = 0.3F;  // of the arm's radius

/// A bar of length `end - begin` along `ahead` from `from`.
render::RobotPart bar(Vec3 from, Vec3 ahead, float begin, float end, float width, float height,
                      sim::Color color) {
  const Vec3 side = cross(kUp, ahead);
  return {from + ahead * (0.5F * (begin + end)),
          side * width,
          kUp * height,
          ahead * (end - begin),
          color,
          false};
}

Vec3 along(float yaw_deg) {
  const Vec2 way = heading(yaw_deg);
  return {way.x, 0.0F, way.z};
}

}  // namespace

std::span<const render::RobotPart> draw_parts(const sim::RobotSpec& robot, const sim::Pose& pose,
                                              RobotParts& parts) {
  if (!robot.arm) return {};
  const sim::ArmSpec& arm = *robot.arm;
  const Vec3 shoulder = shoulder_of(robot, pose);
  const Vec3 wrist = wrist_of(robot, pose);
  const float thick = 2.0F * arm.radius;
  const Vec3 out = along(pose.yaw_deg + arm.yaw_deg);
  const sim::Color dark = {0.4F * robot.color.r, 0.4F * robot.color.g, 0.4F * robot.color.b};
  parts[0] = bar(shoulder, out, 0.0F, pose.arm.extension, thick, thick, robot.color);
  parts[1] = {wrist, out * thick, kUp * (1.5F * thick), cross(out, kUp) * thick, dark, true};
  const Vec3 ahead = along(hand_of(robot, pose).yaw_deg);
  const Vec3 side = cross(kUp, ahead);
  const float palm = kPalmShare * arm.hand_length;
  const float tip = arm.hand_length + kFingerTip * arm.grasp_radius;
  parts[2] = bar(wrist, ahead, 0.0F, palm, 1.5F * thick, 0.7F * thick, dark);
  const float finger = kFingerWidth * arm.radius;
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    const float offset = i == 0 ? -arm.grasp_radius : arm.grasp_radius;
    parts[3 + i] = bar(wrist + side * offset, ahead, 0.7F * palm, tip, finger, 0.7F * thick, dark);
  }
  return parts;
}

}  // namespace flare::env
