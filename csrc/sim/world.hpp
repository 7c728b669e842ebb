// State of one env. step() is the whole pipeline of an action; nothing here knows of images.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sim/action.hpp"
#include "sim/body.hpp"
#include "sim/collision.hpp"
#include "sim/facts.hpp"
#include "sim/house.hpp"
#include "sim/kinematics.hpp"
#include "sim/nav_grid.hpp"

namespace flare::sim {

/// A house with what is derived from it. Immutable, shared by all worlds that play in it.
struct LoadedHouse {
  House house;
  CollisionMap collision;
  NavGrid grid;
  std::vector<Vec2> room_centroids;  // [num_rooms]
  LoadedHouse(House house_in);       // NOLINT(google-explicit-constructor)
};

/// What leads to an episode's goal: for visit_rooms one field per room, else one, or none without
/// targets.
using GoalFields = std::vector<std::shared_ptr<const GeodesicField>>;

/// Pixels of each target in the two cameras' images, [num_targets] each.
struct TargetPixels {
  std::span<const std::int32_t> navigation, manipulation;
};

/// Camera parameters of one episode (flare.md section 2.2).
struct CameraSettings {
  float nav_pitch_deg = 27.0F, nav_fov_deg = 59.0F;
  float manip_pitch_deg = 33.0F, manip_fov_deg = 59.0F;
};

/// The settings of an episode: drawn from its seed as the original does at a house load when
/// spec.camera_noise is 1, else the middle of each range.
CameraSettings draw_cameras(const EpisodeSpec& spec);

/// Seed of the episode's wall and floor materials, 0 for the house's own. The original randomises
/// materials in training with probability 0.8 (flare.md section 2.7); here where spec.randomise
/// has kRandomMaterials.
std::uint64_t draw_material_seed(const EpisodeSpec& spec);

/// Seed of the episode's lights, 0 for the fixed ones; drawn where spec.randomise has
/// kRandomLights.
std::uint64_t draw_light_seed(const EpisodeSpec& spec);

/// Seed of the objects' colours, 0 for their own; drawn where spec.randomise has kRandomTextures.
std::uint64_t draw_texture_seed(const EpisodeSpec& spec);

/// Actions that the expert has decided on, plain data. A way out of a tight spot is walked to its
/// end: found anew at each step it could be answered by another that undoes it.
struct ExpertPlan {
  static constexpr std::size_t kMost = 31;
  std::uint8_t size = 0;
  std::array<std::uint8_t, kMost> actions{};  // sim::Action, the next first

  void assign(std::span<const Action> way);
  void pop();
};

/// Plain data without hidden padding, so that it can be saved and loaded as bytes (exact resume).
struct WorldState {
  EpisodeSpec spec{};
  std::uint64_t rooms_seen = 0;
  std::uint64_t rooms_reported = 0;
  Vec2 position;
  float yaw_deg = 0.0F;
  float travelled = 0.0F;
  std::int32_t step = 0;
  std::int32_t last_action = -1;
  float best_geodesic = -1.0F;  // m, least of the episode so far, -1 before one is known
  std::int32_t stalled = 0;     // actions since it last became smaller
  std::int32_t last_room = -1;  // the room the agent is in, or was in last
  CameraSettings cameras;
  ExpertPlan plan;
  std::uint8_t last_action_success = 1;
  std::uint8_t collided = 0;
  std::uint8_t sub_done_success = 0;
  std::array<std::uint8_t, 1> unused{};
};
static_assert(sizeof(WorldState) == 232, "saved states have no hidden padding");

class World {
 public:
  static constexpr float kAgentHeight = sim::kAgentHeight;
  static constexpr float kVisibilityDistance = 2.0F;  // m

  /// Throws StateError if the start is not a free place of the house or a target is out of range.
  static void check(const LoadedHouse& house, const EpisodeSpec& spec);

  /// Starts an episode. Throws as check does, then changes nothing.
  /// @param fields  FieldCache::get of the same house and spec
  void reset(std::shared_ptr<const LoadedHouse> house, const EpisodeSpec& spec, GoalFields fields);

  /// Executes one action: a blocked move or rotation fails and changes nothing. done moves nothing;
  /// sub_done reports the room the agent is in, or was in last (flare.md section 4.4). Throws
  /// StateError for actions of the arm, which the embedded robot does not have.
  void step(Action action);

  /// Throws StateError for an action that step would refuse.
  static void check(Action action);

  [[nodiscard]] const WorldState& state() const { return state_; }
  [[nodiscard]] const LoadedHouse& house() const { return *house_; }
  [[nodiscard]] std::span<const std::int32_t> targets() const;
  [[nodiscard]] Pose pose() const { return {state_.position, state_.yaw_deg}; }
  void restore(std::shared_ptr<const LoadedHouse> house, const WorldState& state,
               GoalFields fields);

  void write_facts(const TargetPixels& pixels, Facts& facts) const;

  /// The field that leads to the goal from here, nullptr without: of visit_rooms that of the
  /// nearest room not seen yet.
  [[nodiscard]] const GeodesicField* field() const;

  /// The expert's next action: walks the geodesic field, turns until the nearest target is centred
  /// and visible, then done. Keeps its plan in the state.
  [[nodiscard]] Action expert_action(const TargetPixels& pixels);

 private:
  void note_progress();
  void enter_room();
  bool report_room();  // false if the room was reported before, or there is none
  void write_rooms(Facts& facts) const;
  void write_targets(const TargetPixels& pixels, Facts& facts) const;
  void write_walk(Facts& facts) const;

  std::shared_ptr<const LoadedHouse> house_;
  GoalFields fields_;
  WorldState state_;
};

}  // namespace flare::sim
