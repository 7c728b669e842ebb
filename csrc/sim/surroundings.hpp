// What a robot may bump into right now: the house as it sees it, less what was taken, plus what
// was put down. Asked by World::step and by whoever looks ahead.
//
// What blocks what. The body's disc: walls, and every object in its height band. The arm, once it
// is out of its stowed place, and what the hand holds: walls and heavy objects (SolidMap), and for
// what is held the floor. Light objects, those that can be picked up, give way to the arm and are
// not moved by it: there are no dynamics, and a hand must get at what it grasps. A motion is not
// blocked by what the same part overlaps at its start (an object taken out of a drawer whose shape
// is an estimate), so that nothing can be stuck; but what was put down in the body's own place it
// may only leave, not go deeper into.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "sim/kinematics.hpp"
#include "sim/loaded_house.hpp"
#include "sim/rearrangement.hpp"
#include "sim/solids.hpp"

namespace flare::sim {

/// Holds references.
struct Surroundings {
  const LoadedHouse& house;
  const Rearrangement& things;
};

/// An object's box where it is now: in the hand, put down, or at home.
Solid current_box(const Surroundings& around, const Pose& pose, std::int32_t object);

/// Would the body overlap a wall or an object there? Turning matters: the disc is off the pose.
bool is_body_blocked(const Surroundings& around, const Pose& pose);

/// Does the unfolded arm, its hand empty, overlap one of these where its joints put it?
bool is_arm_in(const RobotSpec& robot, const Pose& pose, std::span<const Solid> solids);

/// Would the arm or what it holds overlap something there? False for a stowed arm.
bool is_arm_blocked(const Surroundings& around, const Pose& pose);

/// What arm or load overlap there: indices into SolidMap::all() in ascending order. A motion may
/// only take from them, never add.
std::vector<std::int32_t> arm_contacts(const Surroundings& around, const Pose& pose);

/// Is the hand where its joints say, not behind a wall that the arm is folded in front of? What a
/// stowed hand could only meet through something heavy is out of its reach.
bool is_hand_free(const Surroundings& around, const Pose& pose);

/// The pose after an action, empty if something is in the way or the joint is at its stop. Actions
/// that move nothing leave the pose as it is.
std::optional<Pose> moved(const Surroundings& around, const Pose& pose, Action action);

/// Is something in the way from one pose to another? Both are swept in sub-steps along the straight
/// way between their joints; `from` itself is where the robot already is.
bool is_way_blocked(const Surroundings& around, const Pose& from, const Pose& to);

}  // namespace flare::sim
