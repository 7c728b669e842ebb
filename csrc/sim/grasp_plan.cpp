#include "sim/grasp_plan.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/grasp.hpp"

namespace flare::sim {
namespace {

constexpr std::array<float, 4> kDepths = {0.0F, 0.04F, 0.08F, 0.14F};  // m short of the middle

/// The pair of actions that move one joint, coarse and fine.
struct JointActions {
  Action up, down, up_small, down_small;
};
constexpr JointActions kLift = {Action::kArmUp, Action::kArmDown, Action::kArmUpSmall,
                                Action::kArmDownSmall};
constexpr JointActions kExtension = {Action::kArmOut, Action::kArmIn, Action::kArmOutSmall,
                                     Action::kArmInSmall};

/// Actions tried out one after the other.
class Trial {
 public:
  Trial(const Surroundings& around, const Pose& start) : around_(around), pose_(start) {}

  /// Moves a joint by as near to `way` as its steps allow; false if something is in the way.
  bool shift(const JointActions& joint, float way) {
    const ArmSpec& arm = *around_.house.robot.arm;
    const float apart = std::abs(way) + 0.5F * arm.small_step;
    const int coarse = static_cast<int>(apart / arm.step);
    const float rest = apart - static_cast<float>(coarse) * arm.step;
    const int fine = static_cast<int>(rest / arm.small_step);
    return repeat(way > 0.0F ? joint.up : joint.down, coarse) &&
           repeat(way > 0.0F ? joint.up_small : joint.down_small, fine);
  }
  [[nodiscard]] const Pose& pose() const { return pose_; }
  [[nodiscard]] std::vector<Action> actions() && { return std::move(actions_); }

 private:
  bool repeat(Action action, int times) {
    for (int i = 0; i < times; ++i) {
      const auto next = moved(around_, pose_, action);
      if (!next) return false;
      pose_ = *next;
      actions_.push_back(action);
    }
    return true;
  }

  Surroundings around_;
  Pose pose_;
  std::vector<Action> actions_;
};

/// How far the hand's centre is to be from the shoulder, horizontally, to be in a box's middle;
/// empty if the arm points past the box or is too short for it.
std::optional<float> hand_distance(const Surroundings& around, const Pose& pose, const Solid& box) {
  const RobotSpec& robot = around.house.robot;
  const ArmSpec& arm = *robot.arm;
  const Vec3 shoulder = shoulder_of(robot, pose);
  const Vec3 hand = hand_of(robot, pose).center;
  const Vec2 from = {shoulder.x, shoulder.z};
  const Vec2 reach = Vec2{hand.x, hand.z} - from;
  const Vec2 way = reach * (1.0F / length(reach));
  const Vec2 to_box = box.base.centre - from;
  const float along = dot(to_box, way);
  const float beside = length(to_box - way * along);
  const float slack = length(box.base.half) + arm.grasp_radius;
  const float shortest = arm.extension.low + arm.hand_length;
  const float longest = arm.extension.high + arm.hand_length;
  if (beside > slack || along + slack < shortest || along - slack > longest) return std::nullopt;
  return along;
}

bool is_above_or_in(const Solid& box, Vec3 hand) {
  const Vec2 place = {hand.x, hand.z};
  return length(closest_point(box.base, place) - place) == 0.0F;
}

std::vector<Action> grasp_at(const Surroundings& around, const Pose& pose, float height,
                             float distance, const Solid& box,
                             std::span<const std::int32_t> targets, Grip grip) {
  const RobotSpec& robot = around.house.robot;
  const ArmSpec& arm = *robot.arm;
  const float lift =
      std::clamp(height - robot.body.reference_height - arm.base.y, arm.lift.low, arm.lift.high);
  const float extension =
      std::clamp(distance - arm.hand_length, arm.extension.low, arm.extension.high);
  Trial trial(around, pose);
  if (!trial.shift(kLift, lift - pose.arm.lift)) return {};
  if (!trial.shift(kExtension, extension - pose.arm.extension)) return {};
  if (!takes_target(around, trial.pose(), targets)) return {};
  if (grip == Grip::kSure && !is_above_or_in(box, hand_of(robot, trial.pose()).center)) return {};
  auto actions = std::move(trial).actions();
  actions.push_back(Action::kPickup);
  return actions;
}

}  // namespace

bool takes_target(const Surroundings& around, const Pose& pose,
                  std::span<const std::int32_t> targets) {
  const std::int32_t object = graspable_object(around, pose);
  return object >= 0 && std::find(targets.begin(), targets.end(), object) != targets.end();
}

std::vector<Action> grasp_actions(const Surroundings& around, const Pose& pose,
                                  std::span<const std::int32_t> targets, Grip grip) {
  for (const std::int32_t target : targets) {
    const Solid box = box_of(around.house.house, around.things, target);
    const auto along = hand_distance(around, pose, box);
    if (!along) continue;
    const float radius = around.house.robot.arm->grasp_radius;
    const std::array<float, 3> heights = {0.5F * (box.y0 + box.y1), box.y1, box.y1 + 0.7F * radius};
    for (const float height : heights) {
      for (const float depth : kDepths) {
        auto actions = grasp_at(around, pose, height, *along - depth, box, targets, grip);
        if (!actions.empty()) return actions;
      }
    }
  }
  return {};
}

}  // namespace flare::sim
