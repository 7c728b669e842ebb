// Takes a target: walks down the field to where the arm reaches one, finds a posture of the base
// and actions of the arm that are known to end with it in the hand, and plays them.
#include <vector>

#include "sim/expert.hpp"
#include "sim/grasp_plan.hpp"
#include "sim/lattice.hpp"
#include "sim/walker.hpp"

namespace flare::sim {
namespace {

constexpr float kAround = 0.5F;  // m, a posture is looked for from so near the goal on
constexpr int kEvery = 6;        // actions between two such searches where one found nothing
constexpr int kGivesUp = 80;     // actions near the goal without a grasp

class Taker : Walker {
 public:
  using Walker::Walker;

  [[nodiscard]] Action next();

 private:
  [[nodiscard]] std::span<const std::int32_t> targets() const {
    return {state_.spec.targets.data(), static_cast<std::size_t>(state_.spec.num_targets)};
  }
  [[nodiscard]] bool holds_target() const;
  [[nodiscard]] bool is_time_to_plan() const;
  [[nodiscard]] std::optional<Action> grasp();
  [[nodiscard]] std::vector<Action> posture_and_grasp(Grip grip) const;
};

Action Taker::next() {
  if (holds_target()) return Action::kDone;
  if (state_.plan.size > 0) return static_cast<Action>(state_.plan.actions[0]);
  if (state_.things.held >= 0) return Action::kDropoff;
  if (takes_target(around_, pose_, targets())) return Action::kPickup;
  const float distance = distance_left();
  const bool is_near = distance <= kAround;
  if (distance < 0.0F || (is_near && state_.stalled > kGivesUp)) return Action::kDone;
  if (is_near && is_time_to_plan()) {
    if (const auto action = grasp()) return *action;
  }
  if (!is_stowed(house_.robot, pose_)) return Action::kArmIn;
  return distance > 0.0F ? walk() : any_free(5);
}

bool Taker::holds_target() const {
  for (const std::int32_t target : targets()) {
    if (state_.things.held == target) return true;
  }
  return false;
}

/// Now and then, and at once when a plan was left or the arm has just been drawn in.
bool Taker::is_time_to_plan() const {
  return state_.strayed != 0 || state_.stalled % kEvery == 0 ||
         state_.last_action == static_cast<std::int32_t>(Action::kArmIn);
}

/// Plans the rest of the episode, if it can so that whoever imitates it may be a little off.
std::optional<Action> Taker::grasp() {
  std::vector<Action> plan = posture_and_grasp(Grip::kSure);
  if (plan.empty()) plan = posture_and_grasp(Grip::kAny);
  if (plan.empty()) return std::nullopt;
  state_.plan.assign(plan);
  return plan.front();
}

/// From here, or after a few actions of the base for which the arm has to be stowed.
std::vector<Action> Taker::posture_and_grasp(Grip grip) const {
  std::vector<Action> arm = grasp_actions(around_, pose_, targets(), grip);
  if (!arm.empty() || !is_stowed(house_.robot, pose_)) return arm;
  std::vector<Action> plan = way_to(around_, field_, pose_, [&](const Pose& pose) {
    arm = grasp_actions(around_, pose, targets(), grip);
    return !arm.empty();
  });
  plan.insert(plan.end(), arm.begin(), arm.end());
  return plan;
}

}  // namespace

Action expert_to_hold(const LoadedHouse& house, const GeodesicField& field, WorldState& state) {
  return Taker(house, field, state).next();
}

}  // namespace flare::sim
