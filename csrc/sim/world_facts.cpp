// The row of facts of a world's present state.
#include <algorithm>
#include <bit>
#include <cmath>

#include "core/assert.hpp"
#include "sim/world.hpp"

namespace flare::sim {
namespace {

constexpr int kPathLookAhead = 5;  // cells, the waypoint of path_bearing_deg is half a metre on

std::uint8_t flag(bool value) { return value ? 1 : 0; }

bool has_bit(std::uint64_t set, int bit) {
  return bit >= 0 && bit < kMaxRooms && (set >> static_cast<unsigned>(bit) & 1U) != 0;
}

/// Is what the episode asks for the case? (flare.md section 4.4)
bool is_reached(const Facts& facts) {
  switch (static_cast<Goal>(facts.goal)) {
    case Goal::kSee:
      return facts.target_visible != 0;
    case Goal::kHold:
      return facts.holds_target != 0;
    case Goal::kEnterRoom:
      return facts.in_target_room != 0;
    case Goal::kVisitRooms:
      return std::popcount(facts.rooms_reported) == facts.num_rooms;
  }
  return false;
}

}  // namespace

void World::write_facts(const TargetPixels& pixels, Facts& facts) const {
  FLARE_ASSERT(pixels.navigation.size() == targets().size());
  FLARE_ASSERT(pixels.manipulation.size() == targets().size());
  facts = Facts{};
  facts.position = {pose().position.x, robot().body.reference_height, pose().position.z};
  facts.yaw_deg = pose().yaw_deg;
  facts.travelled = state_.travelled;
  facts.step = state_.step;
  facts.last_action = state_.last_action;
  facts.last_action_success = state_.last_action_success;
  facts.sub_done_success = state_.sub_done_success;
  facts.collided = state_.collided;
  facts.house = state_.spec.house;
  facts.task = state_.spec.task;
  facts.goal = state_.spec.goal;
  facts.robot = state_.spec.robot;
  facts.max_steps = state_.spec.max_steps;
  facts.time_left = state_.spec.max_steps > 0 ? state_.spec.max_steps - state_.step : -1;
  facts.picked_up = state_.picked_up;
  facts.dropped = state_.dropped;
  facts.held_object = state_.things.held;
  facts.arm_lift = pose().arm.lift;
  facts.arm_extension = pose().arm.extension;
  facts.wrist_yaw_deg = pose().arm.wrist_yaw_deg;
  write_rooms(facts);
  write_targets(pixels, facts);
  if (robot().arm) write_hand(facts);
  write_walk(facts);
  if (state_.last_action == static_cast<std::int32_t>(Action::kDone)) {
    facts.last_action_success = flag(is_reached(facts));
  }
}

void World::write_rooms(Facts& facts) const {
  facts.room = room_at(house_->house, pose().position);
  facts.num_rooms = static_cast<std::int32_t>(house_->house.rooms.size());
  facts.rooms_seen = state_.rooms_seen;
  facts.rooms_reported = state_.rooms_reported;
  facts.rooms_left = facts.num_rooms - std::popcount(state_.rooms_seen);
  facts.target_rooms = state_.spec.target_rooms;
  facts.in_target_room = flag(has_bit(state_.spec.target_rooms, facts.room));
  facts.room_distance = -1.0F;
  for (std::size_t r = 0; r < house_->shared->room_centroids.size(); ++r) {
    if (!has_bit(state_.spec.target_rooms, static_cast<int>(r))) continue;
    const float distance = length(house_->shared->room_centroids[r] - pose().position);
    if (facts.room_distance >= 0.0F && facts.room_distance <= distance) continue;
    facts.room_distance = distance;
  }
}

void World::write_targets(const TargetPixels& pixels, Facts& facts) const {
  const Vec2 here = pose().position;
  const Vec3 agent = {pose().position.x, robot().body.reference_height, pose().position.z};
  facts.num_targets = state_.spec.num_targets;
  facts.target_distance = -1.0F;
  facts.target_distance_3d = -1.0F;
  facts.target_hand_distance = -1.0F;
  facts.distance.fill(-1.0F);
  for (std::size_t k = 0; k < targets().size(); ++k) {
    const Solid target = current_box(surroundings(), pose(), targets()[k]);
    const float distance = length(closest_point(target.base, here) - here);
    const bool is_near = distance <= kVisibilityDistance;
    const bool is_in_view = pixels.navigation[k] >= 1;
    const bool is_in_manip_view = pixels.manipulation[k] >= 1;
    facts.distance[k] = distance;
    facts.visible[k] = flag(is_in_view && is_near);
    facts.target_in_view |= flag(is_in_view);
    facts.target_visible |= facts.visible[k];
    facts.manip_visible[k] = flag(is_in_manip_view && is_near);
    facts.manip_target_in_view |= flag(is_in_manip_view);
    facts.manip_target_visible |= facts.manip_visible[k];
    const Vec2 centre = target.base.centre;
    const Vec3 centre_3d = {centre.x, 0.5F * (target.y0 + target.y1), centre.z};
    const float distance_3d = length(centre_3d - agent);
    if (facts.target_distance_3d < 0.0F || distance_3d < facts.target_distance_3d) {
      facts.target_distance_3d = distance_3d;
    }
    if (facts.target_distance >= 0.0F && facts.target_distance <= distance) continue;
    facts.target_distance = distance;
    facts.target_bearing_deg = wrap_degrees(bearing_deg(here, centre) - pose().yaw_deg);
  }
}

void World::write_hand(Facts& facts) const {
  const Vec3 hand = hand_of(robot(), pose()).center;
  facts.hand = {hand.x, hand.y, hand.z};
  for (std::size_t k = 0; k < targets().size(); ++k) {
    const Solid target = current_box(surroundings(), pose(), targets()[k]);
    const float distance = distance_to(target, hand);
    const bool is_met = distance < robot().arm->grasp_radius;
    facts.in_reach[k] = flag(is_met && is_hand_free(surroundings(), pose()));
    facts.target_in_reach |= facts.in_reach[k];
    facts.holds_target |= flag(targets()[k] == state_.things.held);
    if (facts.target_hand_distance >= 0.0F && facts.target_hand_distance <= distance) continue;
    facts.target_hand_distance = distance;
  }
}

void World::write_walk(Facts& facts) const {
  facts.target_geodesic = -1.0F;
  const GeodesicField* to_goal = field();
  const Vec2 disc = disc_centre(robot().body, pose());
  int cell = to_goal != nullptr ? house_->grid.nearest_cell(disc) : -1;
  if (cell < 0) return;
  facts.target_geodesic = to_goal->distance[static_cast<std::size_t>(cell)];
  facts.path_bearing_deg = facts.target_bearing_deg;
  if (facts.goal == static_cast<std::int32_t>(Goal::kHold) && facts.holds_target != 0) {
    facts.target_geodesic = 0.0F;
  }
  if (facts.target_geodesic <= 0.0F) return;  // arrived, or no way: look at the target itself
  for (int i = 0; i < kPathLookAhead; ++i) cell = to_goal->next[static_cast<std::size_t>(cell)];
  const Vec2 waypoint = house_->grid.cells()[static_cast<std::size_t>(cell)];
  facts.path_bearing_deg = wrap_degrees(bearing_deg(disc, waypoint) - pose().yaw_deg);
}

}  // namespace flare::sim
