#include "sim/expert.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/rng.hpp"
#include "sim/lattice.hpp"

namespace flare::sim {
namespace {

constexpr float kCentred = 9.0F;   // degrees, a target this near the heading is centred
constexpr float kAligned = 15.0F;  // degrees, half a turn: no turn of 30 would get nearer
constexpr float kFine = 3.0F;      // degrees, half a small turn
constexpr int kPatience = 10;      // actions without progress before the lattice search
constexpr int kPlaceSteps = 24;    // actions spent on one other place before the next
constexpr float kStray = 0.2F;     // probability of a random action then
constexpr int kLookAhead = 30;     // cells, how far along the walk to aim at most
constexpr std::array<float, 3> kEaseMargins = {0.1F, 0.04F, 0.0F};  // m beyond the body, best first
constexpr float kTurningRoom = 0.06F;  // m beyond the body, a turn of 30 degrees swings it so far
constexpr float kTooNear = 0.9F;       // m, nearer than this a low target is below the image
constexpr float kAround = 0.8F;        // m, still at the goal after having been there
constexpr std::uint64_t kExpertDraws = 3;

constexpr std::array<Action, 6> kMoves = {Action::kMoveAhead,       Action::kRotateRight,
                                          Action::kRotateLeft,      Action::kRotateRightSmall,
                                          Action::kRotateLeftSmall, Action::kMoveBack};

Action inverse(Action action) {
  switch (action) {
    case Action::kMoveAhead:
      return Action::kMoveBack;
    case Action::kMoveBack:
      return Action::kMoveAhead;
    case Action::kRotateRight:
      return Action::kRotateLeft;
    case Action::kRotateLeft:
      return Action::kRotateRight;
    case Action::kRotateRightSmall:
      return Action::kRotateLeftSmall;
    case Action::kRotateLeftSmall:
      return Action::kRotateRightSmall;
    default:
      return Action::kDone;
  }
}

}  // namespace

Expert::Expert(const LoadedHouse& house, const GeodesicField& field, WorldState& state,
               std::span<const std::int32_t> pixels)
    : house_(house),
      field_(field),
      state_(state),
      pixels_(pixels),
      around_{house, state.things},
      pose_(state.pose) {}

Action Expert::next() {
  if (const auto visible = nearest_visible()) return finish(*visible);
  if (state_.plan.size > 0) return static_cast<Action>(state_.plan.actions[0]);
  const int cell = house_.grid.nearest_cell(disc_centre(house_.robot.body, pose_));
  const float distance = cell < 0 ? -1.0F : field_.distance[static_cast<std::size_t>(cell)];
  if (distance < 0.0F) return Action::kDone;  // no way from here: nothing better to show
  const bool is_impatient = state_.stalled > kPatience;
  // Turning swings the disc off its place: who has been at the goal once stays there.
  const bool has_arrived = state_.best_geodesic == 0.0F && distance <= kAround;
  if (distance > 0.0F && !has_arrived) {
    return is_impatient ? search(field_, next_best()) : follow(field_, cell, next_best());
  }
  if (is_impatient) return try_other_place();
  return look_for(field_.goal[static_cast<std::size_t>(cell)]);
}

Vec2 Expert::target_centre(int target) const {
  const auto object =
      static_cast<std::size_t>(state_.spec.targets[static_cast<std::size_t>(target)]);
  const Vec3 centre = house_.house.objects[object].center;
  return {centre.x, centre.z};
}

float Expert::target_distance(int target) const {
  const auto object =
      static_cast<std::size_t>(state_.spec.targets[static_cast<std::size_t>(target)]);
  return distance_to_object(house_.house.objects[object], pose_.position);
}

std::optional<int> Expert::nearest_visible() const {
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

bool Expert::is_free(Action action) const { return moved(around_, pose_, action).has_value(); }

/// The turn that brings an error below the tolerance, coarse before fine; empty if it is already
/// below or the body has no room to turn that way. Never the turn that undoes the last action: the
/// disc swings with every turn and the aim with it, so two turns could answer each other for ever.
std::optional<Action> Expert::turn(float error_deg, float tolerance_deg) const {
  const bool is_right = error_deg > 0.0F;
  const Action undo = inverse(static_cast<Action>(state_.last_action));
  if (std::abs(error_deg) > kAligned) {
    const Action coarse = is_right ? Action::kRotateRight : Action::kRotateLeft;
    if (coarse != undo && is_free(coarse)) return coarse;
  }
  if (std::abs(error_deg) <= tolerance_deg) return std::nullopt;
  const Action fine = is_right ? Action::kRotateRightSmall : Action::kRotateLeftSmall;
  if (fine != undo && is_free(fine)) return fine;
  return std::nullopt;
}

/// A visible target is centred, unless that takes too long, and then the episode is done.
Action Expert::finish(int target) const {
  if (state_.stalled > kPatience) return Action::kDone;
  const float error =
      wrap_degrees(bearing_deg(pose_.position, target_centre(target)) - pose_.yaw_deg);
  return turn(error, kCentred).value_or(Action::kDone);
}

/// At a place from which the target should be seen but is not yet.
Action Expert::look_for(int target) {
  const float error =
      wrap_degrees(bearing_deg(pose_.position, target_centre(target)) - pose_.yaw_deg);
  if (const auto action = turn(error, kCentred)) return *action;
  if (target_distance(target) < kTooNear) {
    if (is_free(Action::kMoveBack)) return Action::kMoveBack;
  } else if (is_free(Action::kMoveAhead)) {
    return Action::kMoveAhead;
  }
  return try_other_place();
}

/// The farthest cell along the walk that the disc reaches in a straight line.
Vec2 Expert::waypoint(const GeodesicField& field, Vec2 disc, int cell) const {
  Vec2 best = house_.grid.cells()[static_cast<std::size_t>(cell)];
  for (const float margin : kEaseMargins) {
    int at = cell;
    bool is_found = false;
    for (int i = 0; i < kLookAhead && field.distance[static_cast<std::size_t>(at)] > 0.0F; ++i) {
      at = field.next[static_cast<std::size_t>(at)];
      const Vec2 place = house_.grid.cells()[static_cast<std::size_t>(at)];
      if (house_.collision.sweep_blocked(disc, place, house_.robot.body.radius + margin)) break;
      best = place;
      is_found = true;
    }
    if (is_found) break;
  }
  return best;
}

/// Greedy where there is room to turn, by search where there is not.
Action Expert::follow(const GeodesicField& field, int cell, float below) {
  const Vec2 disc = disc_centre(house_.robot.body, pose_);
  const Vec2 aim = waypoint(field, disc, cell);
  const float error = wrap_degrees(bearing_deg(disc, aim) - pose_.yaw_deg);
  const bool is_off = std::abs(error) > kAligned;
  if (is_off && house_.collision.blocked(disc, house_.robot.body.radius + kTurningRoom)) {
    return search(field, below);
  }
  if (const auto action = turn(error, kAligned)) return *action;
  if (std::abs(error) <= 2.0F * kAligned && is_free(Action::kMoveAhead)) return Action::kMoveAhead;
  if (const auto action = turn(error, kFine)) return *action;
  return search(field, below);
}

/// Plans a short way to a place whose distance is below `below` and takes its first action.
Action Expert::search(const GeodesicField& field, float below) {
  const auto way = way_below(around_, field, pose_, below);
  state_.plan.assign(way);
  return way.empty() ? any_free(1) : way.front();
}

/// What ends a stall: a place nearer than ever before in this episode.
float Expert::next_best() const {
  constexpr float kNearer = 0.1F;  // m, more than the progress that ends the stall
  return std::max(state_.best_geodesic - kNearer, 1e-3F);
}

/// The target cannot be seen from where it should be (too small, or hidden): walk to one after
/// another of the places nearest to it, and look from there.
Action Expert::try_other_place() {
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
  const int cell = house_.grid.nearest_cell(disc_centre(house_.robot.body, pose_));
  const float left = cell < 0 ? 0.0F : way.distance[static_cast<std::size_t>(cell)];
  if (left > NavGrid::kSpacing) {
    constexpr float kLevel = 0.4F;  // m, the search aims at multiples of it, which do not move
    const float below = kLevel * std::floor((left - NavGrid::kSpacing) / kLevel) + 0.05F;
    return follow(way, cell, below);
  }
  const int target = field_.goal[static_cast<std::size_t>(place)];
  const float error =
      wrap_degrees(bearing_deg(pose_.position, target_centre(target)) - pose_.yaw_deg);
  return turn(error, kFine).value_or(any_free(2));
}

Action Expert::any_free(std::uint64_t draw) const {
  const auto bits =
      keyed_bits(state_.spec.seed, 0, static_cast<std::uint64_t>(state_.step), kExpertDraws, draw);
  for (std::size_t i = 0; i < kMoves.size(); ++i) {
    const Action action = kMoves[(bits + i) % kMoves.size()];
    if (is_free(action)) return action;
  }
  return Action::kDone;  // walled in
}

}  // namespace flare::sim
