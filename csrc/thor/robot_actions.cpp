// Base, arm and hand. Whatever is blocked says "collided", which consumers search for, and leaves
// the robot where it was.
#include <algorithm>
#include <array>
#include <cmath>

#include "sim/grasp.hpp"
#include "thor/actions.hpp"
#include "thor/arm_frame.hpp"

namespace flare::thor {
namespace {

using nlohmann::json;

constexpr double kSnap = 0.05;         // m, a teleport this near the floor is put onto it
constexpr double kPhysicsStep = 0.02;  // s, of a motion that may stop half way
constexpr double kClosest = -100.0, kWidest = 50.0;  // of the gripper's openness

[[noreturn]] void fail_blocked() {
  fail("Collided with static structure in scene: 'Procedural', could not reach target position");
}

/// Walks to a pose, or fails and stays.
void go_to(Simulator& s, const sim::Pose& target) {
  if (is_way_blocked(s.surroundings(), s.pose, target)) fail_blocked();
  s.pose = target;
  s.touch();
}

sim::Pose walked(const sim::Pose& pose, float ahead) {
  sim::Pose target = pose;
  target.position = pose.position + heading(pose.yaw_deg) * ahead;
  return target;
}

sim::Pose turned(const sim::Pose& pose, double degrees) {
  sim::Pose target = pose;
  target.yaw_deg = sim::positive_degrees(pose.yaw_deg + static_cast<float>(degrees));
  return target;
}

template <int kSign>
json move_quick(Simulator& s, const Arguments& a) {
  a.check({}, {"moveMagnitude"});
  const double magnitude = a.number("moveMagnitude", s.grid_size);
  go_to(s, walked(s.pose, static_cast<float>(kSign * magnitude)));
  return nullptr;
}

template <int kSign>
json rotate_quick(Simulator& s, const Arguments& a) {
  a.check({}, {"degrees"});
  go_to(s, turned(s.pose, kSign * a.number("degrees", 90.0)));
  return nullptr;
}

json move_agent(Simulator& s, const Arguments& a) {
  a.check({}, {"ahead", "right", "returnToStart", "speed", "fixedDeltaTime"});
  const auto ahead = static_cast<float>(a.number("ahead", 0.0));
  const auto right = static_cast<float>(a.number("right", 0.0));
  const auto at = [&](float share) {
    sim::Pose target = walked(s.pose, share * ahead);
    const Vec2 way = heading(s.pose.yaw_deg + 90.0F);
    if (right != 0.0F) target.position = target.position + way * (share * right);
    return target;
  };
  if (!is_way_blocked(s.surroundings(), s.pose, at(1.0F))) {
    s.pose = at(1.0F);
    s.touch();
    return nullptr;
  }
  if (!a.boolean("returnToStart", true)) {
    const double stride = std::max(1e-3, a.number("speed", 1.0) * kPhysicsStep);
    const double length = std::hypot(ahead, right);
    float reached = 0.0F;
    for (double done = stride; done < length; done += stride) {
      const auto share = static_cast<float>(done / length);
      if (is_way_blocked(s.surroundings(), s.pose, at(share))) break;
      reached = share;
    }
    s.pose = at(reached);
    s.touch();
  }
  fail_blocked();
}

json rotate_agent(Simulator& s, const Arguments& a) {
  a.check({"degrees"}, {"returnToStart", "speed", "fixedDeltaTime"});
  go_to(s, turned(s.pose, a.number("degrees")));
  return nullptr;
}

/// Teleport keeps what is left out; TeleportFull wants all of it.
json teleport_to(Simulator& s, const Arguments& a) {
  (void)s.house();
  const float reference = s.robot().body.reference_height;
  const Vec3 here = {s.pose.position.x, reference, s.pose.position.z};
  const Vec3 position = a.vector("position", here);
  const Vec3 rotation = a.vector("rotation", {0.0F, s.pose.yaw_deg, 0.0F});
  if (std::abs(static_cast<double>(position.y) - reference) > kSnap) {
    fail("Teleport: the agent would not stand on the floor");
  }
  sim::Pose target = s.pose;
  target.position = {position.x, position.z};
  target.yaw_deg = sim::positive_degrees(rotation.y);
  const bool is_forced = a.boolean("forceAction", false);
  if (!is_forced &&
      (is_body_blocked(s.surroundings(), target) || is_arm_blocked(s.surroundings(), target))) {
    fail("Teleport: the agent would collide there");
  }
  s.pose = target;
  s.touch();
  return nullptr;
}

json teleport(Simulator& s, const Arguments& a) {
  a.check({}, {"position", "rotation", "horizon", "standing", "forceAction"});
  return teleport_to(s, a);
}

json teleport_full(Simulator& s, const Arguments& a) {
  a.check({"position", "rotation"}, {"horizon", "standing", "forceAction"});
  return teleport_to(s, a);
}

/// A joint that would change by less than counts as a motion stays, as at its stop.
float shifted(double target, float before, const sim::Limits& limits, float least) {
  const float after = std::clamp(static_cast<float>(target), limits.low, limits.high);
  return std::abs(after - before) < 0.999F * least ? before : after;
}

json move_arm(Simulator& s, const Arguments& a) {
  a.check({"position"},
          {"returnToStart", "speed", "coordinateSpace", "fixedDeltaTime", "restrictMovement"});
  const sim::ArmSpec& arm = *s.robot().arm;
  const sim::ArmPose& now = s.pose.arm;
  sim::Pose target = s.pose;
  const double lift = a.coordinate("position", "y", now.lift);
  const double z = a.coordinate("position", "z", now.extension - kExtensionOffset);
  target.arm.lift = shifted(lift, now.lift, arm.lift, arm.least_change);
  target.arm.extension =
      shifted(z + kExtensionOffset, now.extension, arm.extension, arm.least_change);
  go_to(s, target);
  return nullptr;
}

json rotate_wrist(Simulator& s, const Arguments& a) {
  a.check({}, {"yaw", "pitch", "roll", "returnToStart", "speed", "fixedDeltaTime"});
  const sim::ArmSpec& arm = *s.robot().arm;
  sim::Pose target = s.pose;
  const float before = s.pose.arm.wrist_yaw_deg;
  target.arm.wrist_yaw_deg = shifted(before + static_cast<float>(a.number("yaw", 0.0)), before,
                                     arm.wrist_yaw, arm.least_turn);
  go_to(s, target);
  return nullptr;
}

json pick_up_object(Simulator& s, const Arguments& a) {
  a.check({}, {"objectIdCandidates"});
  if (s.things.held >= 0) fail("the hand holds an object already");
  if (const json* wanted = a.find("objectIdCandidates")) {
    const std::int32_t object = graspable_object(s.surroundings(), s.pose);
    const auto is_wanted = [&](const json& id) {
      return object >= 0 && id == s.house().sim->house.objects[static_cast<std::size_t>(object)].id;
    };
    if (!std::any_of(wanted->begin(), wanted->end(), is_wanted)) {
      fail("none of the candidates is in the hand sphere");
    }
  }
  if (!pick_up(*s.house().sim, s.pose, s.things)) fail("no object is in the hand sphere");
  s.touch();
  return nullptr;
}

json release_object(Simulator& s, const Arguments& a) {
  a.check({}, {});
  if (!drop(*s.house().sim, s.pose, s.things)) fail("the hand holds no object");
  s.touch();
  return nullptr;
}

json set_gripper(Simulator& s, const Arguments& a) {
  a.check({"openness"});
  const double openness = a.number("openness");
  if (openness < kClosest || openness > kWidest) {
    fail("openness must be -100 to 50");
  }
  s.gripper_openness = openness;
  return nullptr;
}

json toggle_magnet(Simulator&, const Arguments& a) {
  a.check({}, {"visible"});
  return nullptr;  // the hand sphere is never drawn
}

}  // namespace

void add_robot_actions(ActionTable& table) {
  table["MoveAheadQuick"] = table["MoveAhead"] = {move_quick<1>};
  table["MoveBackQuick"] = table["MoveBack"] = {move_quick<-1>};
  table["RotateRightQuick"] = table["RotateRight"] = {rotate_quick<1>};
  table["RotateLeftQuick"] = table["RotateLeft"] = {rotate_quick<-1>};
  table["MoveAgent"] = {move_agent};
  table["RotateAgent"] = {rotate_agent};
  table["Teleport"] = {teleport};
  table["TeleportFull"] = {teleport_full};
  table["MoveArm"] = {move_arm};
  table["RotateWristRelative"] = {rotate_wrist};
  table["PickupObject"] = {pick_up_object};
  table["ReleaseObject"] = {release_object};
  table["SetGripperOpenness"] = {set_gripper};
  table["ToggleMagnetVisibility"] = {toggle_magnet};
}

}  // namespace flare::thor
