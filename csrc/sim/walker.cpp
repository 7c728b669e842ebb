#include "sim/walker.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/rng.hpp"
#include "sim/expert.hpp"
#include "sim/lattice.hpp"

namespace flare::sim {
namespace {

constexpr int kLookAhead = 30;  // cells, how far along the walk to aim at most
constexpr std::array<float, 3> kEaseMargins = {0.1F, 0.04F, 0.0F};  // m beyond the body, best first
constexpr float kTurningRoom = 0.06F;  // m beyond the body, a turn of 30 degrees swings it so far

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

Walker::Walker(const LoadedHouse& house, const GeodesicField& field, WorldState& state)
    : house_(house),
      field_(field),
      state_(state),
      around_{house, state.things},
      pose_(state.pose) {}

int Walker::here() const { return house_.grid.nearest_cell(disc_centre(house_.robot.body, pose_)); }

float Walker::distance_left() const {
  const int cell = here();
  return cell < 0 ? -1.0F : field_.distance[static_cast<std::size_t>(cell)];
}

bool Walker::is_free(Action action) const { return moved(around_, pose_, action).has_value(); }

float Walker::error_to(Vec2 point) const {
  return wrap_degrees(bearing_deg(pose_.position, point) - pose_.yaw_deg);
}

Action Walker::walk() {
  const bool is_impatient = state_.stalled > kPatience;
  return is_impatient ? search(field_, next_best()) : follow(field_, here(), next_best());
}

/// The turn that brings an error below the tolerance, coarse before fine; empty if it is already
/// below or the body has no room to turn that way. Never the turn that undoes the last action: the
/// disc swings with every turn and the aim with it, so two turns could answer each other for ever.
std::optional<Action> Walker::turn(float error_deg, float tolerance_deg) const {
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

/// The farthest cell along the walk that the disc reaches in a straight line.
Vec2 Walker::waypoint(const GeodesicField& field, Vec2 disc, int cell) const {
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
Action Walker::follow(const GeodesicField& field, int cell, float below) {
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
Action Walker::search(const GeodesicField& field, float below) {
  const auto way = way_below(around_, field, pose_, below);
  state_.plan.assign(way);
  return way.empty() ? any_free(1) : way.front();
}

/// What ends a stall: a place nearer than ever before in this episode.
float Walker::next_best() const {
  constexpr float kNearer = 0.1F;  // m, more than the progress that ends the stall
  return std::max(state_.best_geodesic - kNearer, 1e-3F);
}

Action Walker::any_free(std::uint64_t draw) const {
  const auto bits =
      keyed_bits(state_.spec.seed, 0, static_cast<std::uint64_t>(state_.step), kExpertDraws, draw);
  for (std::size_t i = 0; i < kMoves.size(); ++i) {
    const Action action = kMoves[(bits + i) % kMoves.size()];
    if (is_free(action)) return action;
  }
  return Action::kDone;  // walled in
}

}  // namespace flare::sim
