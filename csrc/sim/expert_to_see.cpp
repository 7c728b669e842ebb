// Sees a target: walks down the field, turns until it is centred, then done.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/rng.hpp"
#include "sim/expert.hpp"
#include "sim/walker.hpp"

namespace flare::sim {
namespace {

constexpr float kCentred = 9.0F;  // degrees, a target this near the heading is centred
constexpr int kPlaceSteps = 24;   // actions spent on one other place before the next
constexpr float kStray = 0.2F;    // probability of a random action then
constexpr float kTooNear = 0.9F;  // m, nearer than this a low target is below the image
constexpr float kSure = 1.6F;     // m, goes on to here: who imitates cannot measure to 2.0 m
constexpr float kAround = 0.8F;   // m, still at the goal after having been there

class Seeker : Walker {
 public:
  Seeker(const LoadedHouse& house, const GeodesicField& field, WorldState& state,
         std::span<const std::int32_t> pixels)
      : Walker(house, field, state), pixels_(pixels) {}

  [[nodiscard]] Action next();

 private:
  [[nodiscard]] const Object& object_of(int target) const;
  [[nodiscard]] Vec2 target_centre(int target) const;
  [[nodiscard]] float target_distance(int target) const;
  [[nodiscard]] std::optional<int> nearest_visible() const;
  [[nodiscard]] Action finish(int target) const;
  [[nodiscard]] Action look_for(int target);
  [[nodiscard]] Action try_other_place();

  std::span<const std::int32_t> pixels_;
};

Action Seeker::next() {
  if (const auto visible = nearest_visible()) return finish(*visible);
  if (state_.plan.size > 0) return static_cast<Action>(state_.plan.actions[0]);
  const float distance = distance_left();
  if (distance < 0.0F) return Action::kDone;  // no way from here: nothing better to show
  // Turning swings the disc off its place: who has been at the goal once stays there.
  const bool has_arrived = state_.best_geodesic == 0.0F && distance <= kAround;
  if (distance > 0.0F && !has_arrived) return walk();
  if (state_.stalled > kPatience) return try_other_place();
  return look_for(field_.goal[static_cast<std::size_t>(here())]);
}

const Object& Seeker::object_of(int target) const {
  const auto object = state_.spec.targets[static_cast<std::size_t>(target)];
  return house_.house.objects[static_cast<std::size_t>(object)];
}

Vec2 Seeker::target_centre(int target) const {
  const Vec3 centre = object_of(target).center;
  return {centre.x, centre.z};
}

float Seeker::target_distance(int target) const {
  return distance_to_object(object_of(target), pose_.position);
}

std::optional<int> Seeker::nearest_visible() const {
  std::optional<int> best;
  float best_distance = World::kVisibilityDistance;
  for (int k = 0; k < state_.spec.num_targets; ++k) {
    if (pixels_[static_cast<std::size_t>(k)] < 1) continue;
    const float distance = target_distance(k);
    if (distance > best_distance) continue;
    best = k;
    best_distance = distance;
  }
  return best;
}

/// A visible target is centred and gone up to, unless that takes too long or nothing is free ahead,
/// and then the episode is done.
Action Seeker::finish(int target) const {
  if (state_.stalled > kPatience) return Action::kDone;
  const float error = error_to(target_centre(target));
  if (const auto action = turn(error, kCentred)) return *action;
  const bool is_near = target_distance(target) <= kSure || !is_free(Action::kMoveAhead);
  return is_near ? Action::kDone : Action::kMoveAhead;
}

/// At a place from which the target should be seen but is not yet.
Action Seeker::look_for(int target) {
  const float error = error_to(target_centre(target));
  if (const auto action = turn(error, kCentred)) return *action;
  if (target_distance(target) < kTooNear) {
    if (is_free(Action::kMoveBack)) return Action::kMoveBack;
  } else if (is_free(Action::kMoveAhead)) {
    return Action::kMoveAhead;
  }
  return try_other_place();
}

/// The target cannot be seen from where it should be (too small, or hidden): walk to one after
/// another of the places nearest to it, and look from there.
Action Seeker::try_other_place() {
  // Having no memory of a plan, walks between places can answer each other for ever; a keyed random
  // action now and then ends any such cycle.
  const float chance =
      keyed_uniform(state_.spec.seed, 0, static_cast<std::uint64_t>(state_.step), kExpertDraws, 3);
  if (state_.stalled > kPlaceSteps && chance < kStray) return any_free(4);
  std::vector<std::pair<float, std::int32_t>> places;  // distance of the target, cell
  for (std::int32_t i = 0; i < house_.grid.num_cells(); ++i) {
    const auto cell = static_cast<std::size_t>(i);
    if (field_.distance[cell] != 0.0F) continue;
    const Vec2 apart = house_.grid.cells()[cell] - target_centre(field_.goal[cell]);
    places.emplace_back(length(apart), i);
  }
  const std::size_t kept = (places.size() + 3) / 4;
  std::nth_element(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(kept - 1),
                   places.end());
  std::sort(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(kept));
  const auto round = static_cast<std::uint64_t>(state_.stalled / kPlaceSteps);
  const std::uint64_t bits = keyed_bits(state_.spec.seed, 0, 0, kExpertDraws, round);
  const std::int32_t place = places[round == 0 ? 0 : bits % kept].second;
  const GeodesicField way = house_.grid.field_to_cells({&place, 1});
  const int cell = here();
  const float left = cell < 0 ? 0.0F : way.distance[static_cast<std::size_t>(cell)];
  if (left > NavGrid::kSpacing) {
    constexpr float kLevel = 0.4F;  // m, the search aims at multiples of it, which do not move
    const float below = kLevel * std::floor((left - NavGrid::kSpacing) / kLevel) + 0.05F;
    return follow(way, cell, below);
  }
  const int target = field_.goal[static_cast<std::size_t>(place)];
  const float error = error_to(target_centre(target));
  return turn(error, kFine).value_or(any_free(2));
}

}  // namespace

Action expert_to_see(const LoadedHouse& house, const GeodesicField& field, WorldState& state,
                     std::span<const std::int32_t> pixels) {
  return Seeker(house, field, state, pixels).next();
}

}  // namespace flare::sim
