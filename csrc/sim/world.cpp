#include "sim/world.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "core/assert.hpp"
#include "core/error.hpp"
#include "core/rng.hpp"
#include "sim/expert.hpp"
#include "sim/field_cache.hpp"
#include "sim/grasp.hpp"

namespace flare::sim {
namespace {

// Words of the key of an episode's draws; an episode's seed already names env and episode.
constexpr std::uint64_t kCameraDraws = 1;
constexpr std::uint64_t kMaterialDraws = 2;
constexpr std::uint64_t kLightDraws = 4;  // 3 are the expert's
constexpr std::uint64_t kTextureDraws = 5;

constexpr float kVariationProbability = 0.8F;
constexpr float kProgress = 0.05F;  // m nearer than ever counts as progress

std::span<const std::int32_t> targets_of(const EpisodeSpec& spec) {
  return {spec.targets.data(), static_cast<std::size_t>(spec.num_targets)};
}

std::uint8_t flag(bool value) { return value ? 1 : 0; }

/// Seed of what an episode draws with the original's probability, 0 where it does not.
std::uint64_t draw_seed(const EpisodeSpec& spec, std::int32_t allowed, std::uint64_t words) {
  if ((spec.randomise & allowed) == 0) return 0;
  if (keyed_uniform(spec.seed, 0, 0, words, 0) >= kVariationProbability) return 0;
  return keyed_bits(spec.seed, 0, 0, words, 1) | 1U;
}

}  // namespace

void ExpertPlan::assign(std::span<const Action> way) {
  size = static_cast<std::uint8_t>(std::min(way.size(), kMost));
  for (std::size_t i = 0; i < size; ++i) actions[i] = static_cast<std::uint8_t>(way[i]);
}

void ExpertPlan::pop() {
  std::copy(actions.begin() + 1, actions.end(), actions.begin());
  --size;
}

Cameras draw_cameras(const RobotSpec& robot, const EpisodeSpec& spec) {
  Cameras cameras;
  const std::size_t count = robot.cameras.size();
  // 20 values from -range up, as the original's grids: the upper end itself is never drawn.
  const auto draw = [&](std::size_t index, float range) {
    if (spec.camera_noise == 0) return 0.0F;
    constexpr float kValues = 20.0F;
    const float u = keyed_uniform(spec.seed, 0, 0, kCameraDraws, index);
    return -range + 2.0F * range / kValues * std::floor(u * kValues);
  };
  for (std::size_t i = 0; i < count; ++i) {
    const CameraMount& mount = robot.cameras[i];
    cameras[i] = {mount.pitch_deg + draw(i, mount.pitch_noise_deg),
                  mount.fov_deg + draw(kMaxCameras + i, mount.fov_noise_deg)};
  }
  return cameras;
}

std::uint64_t draw_material_seed(const EpisodeSpec& spec) {
  return draw_seed(spec, kRandomMaterials, kMaterialDraws);
}

std::uint64_t draw_light_seed(const EpisodeSpec& spec) {
  return draw_seed(spec, kRandomLights, kLightDraws);
}

std::uint64_t draw_texture_seed(const EpisodeSpec& spec) {
  return draw_seed(spec, kRandomTextures, kTextureDraws);
}

void World::check(const LoadedHouse& house, const EpisodeSpec& spec) {
  const std::string where = house.house.source + ": ";
  if (spec.goal < 0 || spec.goal >= kNumGoals) {
    throw StateError(where + "goal " + std::to_string(spec.goal) + " is not one of the " +
                     std::to_string(kNumGoals) + " goals 0 to " + std::to_string(kNumGoals - 1));
  }
  const std::size_t num_rooms = house.house.rooms.size();
  if (num_rooms < kMaxRooms && spec.target_rooms >> num_rooms != 0) {
    throw StateError(where + "target_rooms has a bit beyond the house's " +
                     std::to_string(num_rooms) + " rooms");
  }
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
  if (spec.goal == static_cast<std::int32_t>(Goal::kHold) && !house.robot.arm) {
    throw StateError(where + "the goal is to hold, and the robot '" + house.robot.name +
                     "' has no arm");
  }
  const bool is_finite =
      std::isfinite(spec.x) && std::isfinite(spec.z) && std::isfinite(spec.yaw_deg);
  const Pose start = start_pose(house.robot, {spec.x, spec.z}, spec.yaw_deg);
  if (!is_finite || house.collision.blocked(disc_centre(house.robot.body, start))) {
    throw StateError(where + "the start (x " + std::to_string(spec.x) + ", z " +
                     std::to_string(spec.z) + ", yaw " + std::to_string(spec.yaw_deg) +
                     ") is inside an obstacle; take one for which House.blocked is False");
  }
}

void World::check_state(const LoadedHouse& house, const WorldState& state) {
  check(house, state.spec);
  const auto num_objects = static_cast<std::int32_t>(house.house.objects.size());
  const Rearrangement& things = state.things;
  const auto is_object = [&](std::int32_t object) { return object >= 0 && object < num_objects; };
  const bool is_known =
      (things.held == -1 || (is_object(things.held) && house.robot.arm)) &&
      things.num_displaced >= 0 && things.num_displaced <= kMaxDisplaced &&
      std::all_of(things.entries().begin(), things.entries().end(),
                  [&](const Displaced& entry) { return is_object(entry.object); });
  const bool is_finite = std::isfinite(state.pose.position.x) &&
                         std::isfinite(state.pose.position.z) && std::isfinite(state.pose.yaw_deg);
  // Walls and what is at home; something may have been put down in the robot's own place.
  const Vec2 disc = disc_centre(house.robot.body, state.pose);
  if (is_known && is_finite && !house.collision.blocked(disc, house.robot.body.radius, &things)) {
    return;
  }
  throw StateError(house.house.source +
                   ": the saved state does not fit this house; restore with the houses and robots "
                   "it was saved with");
}

void World::reset(std::shared_ptr<const LoadedHouse> house, const EpisodeSpec& spec,
                  FieldCache* fields) {
  check(*house, spec);
  house_ = std::move(house);
  fields_ = fields;
  state_ = WorldState{};
  state_.spec = spec;
  state_.pose = start_pose(house_->robot, {spec.x, spec.z}, spec.yaw_deg);
  state_.cameras = draw_cameras(house_->robot, spec);
  enter_room();
  find_field();
  note_progress();
  state_.stalled = 0;
}

void World::restore(std::shared_ptr<const LoadedHouse> house, const WorldState& state,
                    FieldCache* fields) {
  house_ = std::move(house);
  fields_ = fields;
  state_ = state;
  find_field();
}

std::span<const std::int32_t> World::targets() const { return targets_of(state_.spec); }

void World::check(const RobotSpec& robot, Action action) {
  const auto id = static_cast<std::int32_t>(action);
  if (id < 0 || id >= kNumActions) {
    throw StateError("action " + std::to_string(id) + " is not one of the " +
                     std::to_string(kNumActions) + " actions 0 to " +
                     std::to_string(kNumActions - 1));
  }
  const auto index = static_cast<std::size_t>(id);
  if (robot.has_action[index]) return;
  throw StateError(std::string(kActionNames[index]) + ": the robot '" + robot.name +
                   "' does not have this action");
}

void World::step(Action action) {
  begin_step(action);
  state_.collided = 0;
  state_.picked_up = flag(action == Action::kPickup && pick_up(*house_, pose(), state_.things));
  state_.dropped = flag(action == Action::kDropoff && drop(*house_, pose(), state_.things));
  end_step(action, move(action));
}

void World::begin_step(Action action) {
  check(robot(), action);
  state_.last_action = static_cast<std::int32_t>(action);
  ++state_.step;
  state_.sub_done_success = flag(action == Action::kSubDone && report_room());
}

void World::end_step(Action action, bool is_moved) {
  state_.last_action_success = flag(is_moved && action != Action::kPickup);
  if (action == Action::kSubDone) state_.last_action_success = state_.sub_done_success;
  const bool is_planned = state_.plan.size > 0 && is_moved &&
                          state_.plan.actions[0] == static_cast<std::uint8_t>(action);
  state_.strayed = flag(state_.plan.size > 0 && !is_planned);
  if (is_planned) {
    state_.plan.pop();
  } else {
    state_.plan.size = 0;
  }
  note_progress();
}

void World::follow(Action action, const Report& report) {
  begin_step(action);
  const Pose before = pose();
  const std::int32_t held = state_.things.held;
  adopt(report);
  state_.collided = report.collided;
  state_.picked_up = flag(action == Action::kPickup && held < 0 && state_.things.held >= 0);
  state_.dropped = flag(action == Action::kDropoff && held >= 0 && state_.things.held < 0);
  state_.travelled += length(pose().position - before.position);
  end_step(action, report.collided == 0 && is_changed(robot(), before, pose(), action));
}

void World::adopt(const Report& report) {
  state_.pose = {{report.x, report.z}, positive_degrees(report.yaw_deg), report.arm};
  Rearrangement& things = state_.things;
  if (report.held >= 0 && report.held != things.held) {
    attach(*house_, pose(), report.held, things);
  } else if (report.held < 0) {
    things.held = -1;
    things.held_offset = {};
    things.held_yaw_deg = 0.0F;
  }
  if (report.num_moved >= 0) {
    things.num_displaced = report.num_moved;
    things.displaced = report.moved;
  }
  arrive();
}

bool World::move(Action action) {
  const std::optional<Pose> target = target_pose(robot(), pose(), action);
  if (!target) return false;
  if (is_way_blocked(surroundings(), pose(), *target)) {
    state_.collided = 1;
    return false;
  }
  state_.travelled += length(target->position - pose().position);
  state_.pose = *target;
  arrive();
  return true;
}

void World::arrive() {
  const bool is_new_room = enter_room();
  if (is_new_room && state_.spec.goal == static_cast<std::int32_t>(Goal::kVisitRooms)) {
    find_field();  // the walk leads on to another room: progress is measured afresh
    state_.best_geodesic = -1.0F;
  }
}

bool World::enter_room() {
  const int room = room_at(house_->house, pose().position);
  if (room < 0 || room >= kMaxRooms) return false;
  state_.last_room = room;
  const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(room);
  const bool is_new = (state_.rooms_seen & bit) == 0;
  state_.rooms_seen |= bit;
  return is_new;
}

void World::find_field() {
  field_ = fields_ == nullptr ? nullptr : fields_->get(house_, state_.spec, state_.rooms_seen);
}

bool World::report_room() {
  if (state_.last_room < 0) return false;
  const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(state_.last_room);
  if ((state_.rooms_reported & bit) != 0) return false;
  state_.rooms_reported |= bit;
  return true;
}

void World::note_progress() {
  ++state_.stalled;
  const GeodesicField* to_goal = field();
  if (to_goal == nullptr) return;
  const int cell = house_->grid.nearest_cell(disc_centre(robot().body, pose()));
  if (cell < 0) return;
  const float distance = to_goal->distance[static_cast<std::size_t>(cell)];
  const bool is_nearer = state_.best_geodesic < 0.0F ||
                         distance < state_.best_geodesic - kProgress ||
                         (distance == 0.0F && state_.best_geodesic > 0.0F);
  if (distance < 0.0F || !is_nearer) return;
  state_.best_geodesic = distance;
  state_.stalled = 0;
}

Action World::expert_action(const TargetPixels& pixels) {
  const GeodesicField* to_goal = field();
  const auto goal = static_cast<Goal>(state_.spec.goal);
  if (goal == Goal::kVisitRooms) return expert_to_visit_rooms(*house_, to_goal, state_);
  if (to_goal == nullptr) return Action::kDone;
  if (goal == Goal::kHold) return expert_to_hold(*house_, *to_goal, state_);
  if (goal == Goal::kEnterRoom) return expert_to_enter_room(*house_, *to_goal, state_);
  return expert_to_see(*house_, *to_goal, state_, pixels.navigation);
}

}  // namespace flare::sim
