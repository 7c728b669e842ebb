#include "sim/world.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "core/assert.hpp"
#include "core/error.hpp"
#include "core/rng.hpp"
#include "sim/expert.hpp"

namespace flare::sim {
namespace {

// Words of the key of an episode's draws; an episode's seed already names env and episode.
constexpr std::uint64_t kCameraDraws = 1;
constexpr std::uint64_t kMaterialDraws = 2;

constexpr float kMaterialProbability = 0.8F;
constexpr float kProgress = 0.05F;  // m nearer than ever counts as progress
constexpr int kPathLookAhead = 5;   // cells, the waypoint of path_bearing_deg is half a metre on

std::span<const std::int32_t> targets_of(const EpisodeSpec& spec) {
  return {spec.targets.data(), static_cast<std::size_t>(spec.num_targets)};
}

std::uint8_t flag(bool value) { return value ? 1 : 0; }

}  // namespace

LoadedHouse::LoadedHouse(House house_in)
    : house(std::move(house_in)), collision(house), grid(house, collision) {}

void ExpertPlan::assign(std::span<const Action> way) {
  size = static_cast<std::uint8_t>(std::min(way.size(), kMost));
  for (std::size_t i = 0; i < size; ++i) actions[i] = static_cast<std::uint8_t>(way[i]);
}

void ExpertPlan::pop() {
  std::copy(actions.begin() + 1, actions.end(), actions.begin());
  --size;
}

CameraSettings draw_cameras(const EpisodeSpec& spec) {
  CameraSettings cameras;
  if (spec.camera_noise == 0) return cameras;
  // 20 values from -range up, as the original's grids: the upper end itself is never drawn.
  const auto draw = [&](std::uint64_t index, float range) {
    constexpr float kValues = 20.0F;
    const float u = keyed_uniform(spec.seed, 0, 0, kCameraDraws, index);
    return -range + 2.0F * range / kValues * std::floor(u * kValues);
  };
  cameras.nav_pitch_deg += draw(0, 2.0F);
  cameras.manip_pitch_deg += draw(1, 2.0F);
  cameras.nav_fov_deg += draw(2, 1.0F);
  cameras.manip_fov_deg += draw(3, 1.0F);
  return cameras;
}

std::uint64_t draw_material_seed(const EpisodeSpec& spec) {
  if (spec.camera_noise == 0) return 0;
  if (keyed_uniform(spec.seed, 0, 0, kMaterialDraws, 0) >= kMaterialProbability) return 0;
  return keyed_bits(spec.seed, 0, 0, kMaterialDraws, 1) | 1U;
}

void World::check(const LoadedHouse& house, const EpisodeSpec& spec) {
  const std::string where = house.house.source + ": ";
  if (spec.num_targets < 0 || spec.num_targets > kMaxTargets) {
    throw StateError(where + "num_targets is " + std::to_string(spec.num_targets) +
                     "; an episode has 0 to " + std::to_string(kMaxTargets) + " targets");
  }
  const auto num_objects = static_cast<std::int32_t>(house.house.objects.size());
  for (const std::int32_t target : targets_of(spec)) {
    if (target >= 0 && target < num_objects) continue;
    throw StateError(where + "target " + std::to_string(target) + " is not one of the house's " +
                     std::to_string(num_objects) + " objects");
  }
  const bool is_finite =
      std::isfinite(spec.x) && std::isfinite(spec.z) && std::isfinite(spec.yaw_deg);
  if (!is_finite || house.collision.blocked(disc_centre({{spec.x, spec.z}, spec.yaw_deg}))) {
    throw StateError(where + "the start (x " + std::to_string(spec.x) + ", z " +
                     std::to_string(spec.z) + ", yaw " + std::to_string(spec.yaw_deg) +
                     ") is inside an obstacle; take one for which House.blocked is False");
  }
}

void World::reset(std::shared_ptr<const LoadedHouse> house, const EpisodeSpec& spec,
                  std::shared_ptr<const GeodesicField> field) {
  check(*house, spec);
  house_ = std::move(house);
  field_ = std::move(field);
  state_ = WorldState{};
  state_.spec = spec;
  state_.position = {spec.x, spec.z};
  state_.yaw_deg = positive_degrees(spec.yaw_deg);
  state_.cameras = draw_cameras(spec);
  enter_room();
  note_progress();
  state_.stalled = 0;
}

void World::restore(std::shared_ptr<const LoadedHouse> house, const WorldState& state,
                    std::shared_ptr<const GeodesicField> field) {
  house_ = std::move(house);
  field_ = std::move(field);
  state_ = state;
}

std::span<const std::int32_t> World::targets() const { return targets_of(state_.spec); }

void World::check(Action action) {
  const auto id = static_cast<std::int32_t>(action);
  if (id < 0 || id >= kNumActions) {
    throw StateError("action " + std::to_string(id) + " is not one of the " +
                     std::to_string(kNumActions) + " actions 0 to " +
                     std::to_string(kNumActions - 1));
  }
  if (action >= Action::kPickup) {
    throw StateError(std::string(kActionNames[static_cast<std::size_t>(id)]) +
                     ": the embedded robot's arm is not simulated; use the navigation actions");
  }
}

void World::step(Action action) {
  check(action);
  const std::optional<Pose> target = moved(house_->collision, pose(), action);
  state_.collided = flag(!target);
  state_.last_action_success = flag(target.has_value());
  state_.last_action = static_cast<std::int32_t>(action);
  ++state_.step;
  const bool is_planned =
      state_.plan.size > 0 && target && state_.plan.actions[0] == static_cast<std::uint8_t>(action);
  if (is_planned) {
    state_.plan.pop();
  } else {
    state_.plan.size = 0;
  }
  if (target) {
    state_.travelled += length(target->position - state_.position);
    state_.position = target->position;
    state_.yaw_deg = target->yaw_deg;
    enter_room();
  }
  note_progress();
}

void World::enter_room() {
  const int room = room_at(house_->house, state_.position);
  if (room >= 0 && room < 64) state_.rooms_seen |= std::uint64_t{1} << static_cast<unsigned>(room);
}

void World::note_progress() {
  ++state_.stalled;
  if (!field_) return;
  const int cell = house_->grid.nearest_cell(disc_centre(pose()));
  if (cell < 0) return;
  const float distance = field_->distance[static_cast<std::size_t>(cell)];
  const bool is_nearer = state_.best_geodesic < 0.0F ||
                         distance < state_.best_geodesic - kProgress ||
                         (distance == 0.0F && state_.best_geodesic > 0.0F);
  if (distance < 0.0F || !is_nearer) return;
  state_.best_geodesic = distance;
  state_.stalled = 0;
}

void World::write_facts(std::span<const std::int32_t> pixels, Facts& facts) const {
  FLARE_ASSERT(pixels.size() == targets().size());
  facts = Facts{};
  facts.position = {state_.position.x, kAgentHeight, state_.position.z};
  facts.yaw_deg = state_.yaw_deg;
  facts.travelled = state_.travelled;
  facts.step = state_.step;
  facts.last_action = state_.last_action;
  facts.last_action_success = state_.last_action_success;
  facts.collided = state_.collided;
  facts.house = state_.spec.house;
  facts.room = room_at(house_->house, state_.position);
  facts.num_rooms = static_cast<std::int32_t>(house_->house.rooms.size());
  facts.rooms_seen = state_.rooms_seen;
  facts.held_object = -1;
  write_targets(pixels, facts);
}

void World::write_targets(std::span<const std::int32_t> pixels, Facts& facts) const {
  const auto& objects = house_->house.objects;
  facts.num_targets = state_.spec.num_targets;
  facts.target_distance = -1.0F;
  facts.target_geodesic = -1.0F;
  facts.distance.fill(-1.0F);
  for (std::size_t k = 0; k < targets().size(); ++k) {
    const Object& target = objects[static_cast<std::size_t>(targets()[k])];
    const float distance = distance_to_object(target, state_.position);
    const bool is_in_view = pixels[k] >= 1;
    facts.distance[k] = distance;
    facts.visible[k] = flag(is_in_view && distance <= kVisibilityDistance);
    facts.target_in_view |= flag(is_in_view);
    facts.target_visible |= facts.visible[k];
    if (facts.target_distance >= 0.0F && facts.target_distance <= distance) continue;
    facts.target_distance = distance;
    const Vec2 centre = {target.center.x, target.center.z};
    facts.target_bearing_deg = wrap_degrees(bearing_deg(state_.position, centre) - state_.yaw_deg);
  }
  const Vec2 disc = disc_centre(pose());
  int cell = field_ ? house_->grid.nearest_cell(disc) : -1;
  if (cell < 0) return;
  facts.target_geodesic = field_->distance[static_cast<std::size_t>(cell)];
  facts.path_bearing_deg = facts.target_bearing_deg;
  if (facts.target_geodesic <= 0.0F) return;  // arrived, or no way: look at the target itself
  for (int i = 0; i < kPathLookAhead; ++i) cell = field_->next[static_cast<std::size_t>(cell)];
  const Vec2 waypoint = house_->grid.cells()[static_cast<std::size_t>(cell)];
  facts.path_bearing_deg = wrap_degrees(bearing_deg(disc, waypoint) - state_.yaw_deg);
}

Action World::expert_action(std::span<const std::int32_t> pixels) {
  if (!field_) return Action::kDone;
  return Expert(*house_, *field_, state_, pixels).next();
}

}  // namespace flare::sim
