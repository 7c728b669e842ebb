#include "sim/kinematics.hpp"

#include <algorithm>
#include <cmath>

namespace flare::sim {
namespace {

Pose walked(const Pose& pose, float step) {
  Pose target = pose;
  target.position = pose.position + heading(pose.yaw_deg) * step;
  return target;
}

Pose turned(const Pose& pose, float angle_deg) {
  Pose target = pose;
  target.yaw_deg = positive_degrees(pose.yaw_deg + angle_deg);
  return target;
}

/// A step of exactly the least change counts, whatever the last digit.
bool is_motion(float change, float least) { return std::abs(change) >= 0.999F * least; }

/// Moves one joint towards a limit; empty if it changes by less than `least`.
std::optional<Pose> shifted(const Pose& pose, float ArmPose::* joint, float step,
                            const Limits& limits, float least) {
  const float before = pose.arm.*joint;
  const float after = std::clamp(before + step, limits.low, limits.high);
  if (!is_motion(after - before, least)) return std::nullopt;
  Pose target = pose;
  target.arm.*joint = after;
  return target;
}

/// The same of an action of the arm.
std::optional<Pose> arm_target(const ArmSpec& arm, const Pose& pose, Action action) {
  const auto lift = [&](float step) {
    return shifted(pose, &ArmPose::lift, step, arm.lift, arm.least_change);
  };
  const auto extend = [&](float step) {
    return shifted(pose, &ArmPose::extension, step, arm.extension, arm.least_change);
  };
  const auto turn_wrist = [&](float step) {
    return shifted(pose, &ArmPose::wrist_yaw_deg, step, arm.wrist_yaw, arm.least_turn);
  };
  switch (action) {
    case Action::kArmUp:
      return lift(arm.step);
    case Action::kArmDown:
      return lift(-arm.step);
    case Action::kArmUpSmall:
      return lift(arm.small_step);
    case Action::kArmDownSmall:
      return lift(-arm.small_step);
    case Action::kArmOut:
      return extend(arm.step);
    case Action::kArmIn:
      return extend(-arm.step);
    case Action::kArmOutSmall:
      return extend(arm.small_step);
    case Action::kArmInSmall:
      return extend(-arm.small_step);
    case Action::kWristOpen:
      return turn_wrist(-arm.wrist_step);
    case Action::kWristClose:
      return turn_wrist(arm.wrist_step);
    default:
      return pose;  // not the arm's
  }
}

}  // namespace

Pose start_pose(const RobotSpec& robot, Vec2 position, float yaw_deg) {
  return {position, positive_degrees(yaw_deg), robot.arm ? robot.arm->rest : ArmPose{}};
}

Vec3 to_world(const BodySpec& body, const Pose& pose, Vec3 point) {
  // The body's right is its heading turned clockwise: (cos, -sin) in (x, z).
  const Vec2 ahead = heading(pose.yaw_deg);
  return {pose.position.x + ahead.z * point.x + ahead.x * point.z, body.reference_height + point.y,
          pose.position.z - ahead.x * point.x + ahead.z * point.z};
}

Vec3 shoulder_of(const RobotSpec& robot, const Pose& pose) {
  Vec3 base = robot.arm->base;
  base.y += pose.arm.lift;
  return to_world(robot.body, pose, base);
}

Vec3 wrist_of(const RobotSpec& robot, const Pose& pose) {
  const Vec3 shoulder = shoulder_of(robot, pose);
  const Vec2 along = heading(pose.yaw_deg + robot.arm->yaw_deg) * pose.arm.extension;
  return {shoulder.x + along.x, shoulder.y, shoulder.z + along.z};
}

Hand hand_of(const RobotSpec& robot, const Pose& pose) {
  const Vec3 wrist = wrist_of(robot, pose);
  const float yaw = positive_degrees(pose.yaw_deg + robot.arm->yaw_deg + pose.arm.wrist_yaw_deg);
  const Vec2 along = heading(yaw) * robot.arm->hand_length;
  return {{wrist.x + along.x, wrist.y, wrist.z + along.z}, yaw};
}

bool is_stowed(const RobotSpec& robot, const Pose& pose) {
  return !robot.arm || pose.arm.extension <= robot.arm->stowed_extension;
}

float positive_degrees(float angle_deg) {
  float a = std::fmod(angle_deg, 360.0F);
  if (a < 0.0F) a += 360.0F;
  return a < 360.0F ? a : 0.0F;  // -1e-9 + 360 rounds to 360
}

std::optional<Pose> target_pose(const RobotSpec& robot, const Pose& pose, Action action) {
  switch (action) {
    case Action::kMoveAhead:
      return walked(pose, robot.steps.move);
    case Action::kMoveBack:
      return walked(pose, -robot.steps.move);
    case Action::kRotateRight:
      return turned(pose, robot.steps.rotate);
    case Action::kRotateLeft:
      return turned(pose, -robot.steps.rotate);
    case Action::kRotateRightSmall:
      return turned(pose, robot.steps.rotate_small);
    case Action::kRotateLeftSmall:
      return turned(pose, -robot.steps.rotate_small);
    case Action::kDone:
    case Action::kSubDone:
    case Action::kPickup:
    case Action::kDropoff:
      return pose;
    default:
      return robot.arm ? arm_target(*robot.arm, pose, action) : std::nullopt;
  }
}

bool is_changed(const RobotSpec& robot, const Pose& before, const Pose& after, Action action) {
  switch (action) {
    case Action::kArmUp:
    case Action::kArmDown:
    case Action::kArmUpSmall:
    case Action::kArmDownSmall:
      return is_motion(after.arm.lift - before.arm.lift, robot.arm->least_change);
    case Action::kArmOut:
    case Action::kArmIn:
    case Action::kArmOutSmall:
    case Action::kArmInSmall:
      return is_motion(after.arm.extension - before.arm.extension, robot.arm->least_change);
    case Action::kWristOpen:
    case Action::kWristClose:
      return is_motion(after.arm.wrist_yaw_deg - before.arm.wrist_yaw_deg, robot.arm->least_turn);
    default:
      return true;
  }
}

}  // namespace flare::sim
