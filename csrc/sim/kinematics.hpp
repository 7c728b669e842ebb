// How an action moves base and arm, as pure functions. World::step executes it, the expert looks
// ahead with it. What is in the way is asked of surroundings.hpp.
#pragma once

#include <optional>

#include "core/geometry.hpp"
#include "sim/action.hpp"
#include "sim/robot.hpp"

namespace flare::sim {

/// The agent's reference point and heading, and its arm's joints.
struct Pose {
  Vec2 position;
  float yaw_deg = 0.0F;  // [0, 360)
  ArmPose arm;           // as it is for a robot without an arm
};

/// The pose at the start of an episode.
Pose start_pose(const RobotSpec& robot, Vec2 position, float yaw_deg);

/// A point given relative to the reference point, in the world. The floor has y = 0.
Vec3 to_world(const BodySpec& body, const Pose& pose, Vec3 point);

/// Where the body's disc is: where it is off the reference point, turning moves it.
inline Vec2 disc_centre(const BodySpec& body, const Pose& pose) {
  return pose.position + heading(pose.yaw_deg) * body.centre_offset;
}

/// Centre and direction of the hand sphere in the world.
struct Hand {
  Vec3 center;  // m
  float yaw_deg = 0.0F;
};

Hand hand_of(const RobotSpec& robot, const Pose& pose);  // the robot has an arm
Vec3 wrist_of(const RobotSpec& robot, const Pose& pose);
/// The arm's base at the present lift.
Vec3 shoulder_of(const RobotSpec& robot, const Pose& pose);

/// With an empty hand the arm is folded along the body and touches nothing.
bool is_stowed(const RobotSpec& robot, const Pose& pose);

/// The same angle in [0, 360).
float positive_degrees(float angle_deg);

/// The pose after an action were nothing in the way; joints stop at their limits. Empty if the
/// robot's joint is at its stop, so that the action would change less than counts as a change.
/// Actions that move nothing leave the pose as it is.
std::optional<Pose> target_pose(const RobotSpec& robot, const Pose& pose, Action action);

/// Did an action of a joint change it by as much as counts as a motion? True of other actions.
bool is_changed(const RobotSpec& robot, const Pose& before, const Pose& after, Action action);

}  // namespace flare::sim
