// State of one env. step() is the whole pipeline of an action; nothing here knows of images.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sim/action.hpp"
#include "sim/facts.hpp"
#include "sim/loaded_house.hpp"
#include "sim/surroundings.hpp"

namespace flare::sim {

class FieldCache;

/// Pixels of each target in the two cameras' images, [num_targets] each.
struct TargetPixels {
  std::span<const std::int32_t> navigation, manipulation;
};

/// What of one camera changes from episode to episode (flare.md section 2.2).
struct CameraSettings {
  float pitch_deg = 0.0F, fov_deg = 0.0F;
};
using Cameras = std::array<CameraSettings, kMaxCameras>;

/// The settings of an episode: drawn from its seed as the original does at a house load when
/// spec.camera_noise is 1, else the middle of each range. Zeros for a camera the robot lacks.
Cameras draw_cameras(const RobotSpec& robot, const EpisodeSpec& spec);

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

/// What another simulator tells of its robot after an action, exported as a numpy dtype.
struct Report {
  float x = 0.0F, z = 0.0F;  // m, agent reference point
  float yaw_deg = 0.0F;
  ArmPose arm;
  std::array<float, 3> hand{};   // m, centre of the hand sphere in the world
  std::int32_t held = -1;        // index into House::objects, -1 for an empty hand
  std::int32_t num_moved = -1;   // objects that are not at home; -1: as it was told before
  std::uint16_t seen = 0;        // bit k: target k is in the navigation camera's image
  std::uint16_t manip_seen = 0;  // the same of the manipulation camera
  std::uint16_t in_reach = 0;    // bit k: target k meets the hand sphere
  std::uint8_t collided = 0;     // the motion was blocked
  std::uint8_t unused = 0;       // keeps rows free of hidden padding
  std::array<Displaced, kMaxDisplaced> moved{};
};
static_assert(sizeof(Report) == 52 + 20 * kMaxDisplaced, "the exported dtype has no padding");

/// Plain data without hidden padding, so that it can be saved and loaded as bytes (exact resume).
struct WorldState {
  EpisodeSpec spec{};
  std::uint64_t rooms_seen = 0;
  std::uint64_t rooms_reported = 0;
  Pose pose;
  float travelled = 0.0F;
  std::int32_t step = 0;
  std::int32_t last_action = -1;
  float best_geodesic = -1.0F;  // m, least of the episode so far, -1 before one is known
  std::int32_t stalled = 0;     // actions since it last became smaller
  std::int32_t last_room = -1;  // the room the agent is in, or was in last
  Cameras cameras;
  Rearrangement things;
  ExpertPlan plan;
  std::uint8_t last_action_success = 1;
  std::uint8_t collided = 0;
  std::uint8_t sub_done_success = 0;
  std::uint8_t picked_up = 0;  // the last action took an object
  std::uint8_t dropped = 0;    // the last action let one go
  std::uint8_t strayed = 0;    // the last action was not the one that the expert's plan wanted
  std::array<std::uint8_t, 2> unused{};
};
static_assert(sizeof(WorldState) == 912, "saved states have no hidden padding");

class World {
 public:
  static constexpr float kVisibilityDistance = 2.0F;  // m

  /// Throws StateError if the start is not a free place of the house, a target is out of range or
  /// the goal asks for what the robot cannot do.
  static void check(const LoadedHouse& house, const EpisodeSpec& spec);

  /// Throws StateError for a saved state that does not fit the house.
  static void check_state(const LoadedHouse& house, const WorldState& state);

  /// Starts an episode. Throws as check does, then changes nothing.
  /// @param fields  asked for what leads to the goal, then and whenever that changes; lives as long
  ///                as the episode. nullptr: nothing does
  void reset(std::shared_ptr<const LoadedHouse> house, const EpisodeSpec& spec, FieldCache* fields);

  /// Executes one action of the robot. A motion that is blocked, and one of a joint at its stop,
  /// fails and changes nothing. done moves nothing; sub_done reports the room the agent is in, or
  /// was in last (flare.md section 4.4); pickup and dropoff are grasp.hpp's. Throws as check does.
  void step(Action action);

  /// The same where another simulator executed the action: takes over what it reports.
  void follow(Action action, const Report& report);
  /// Takes over where another simulator started the episode.
  void adopt(const Report& report);

  /// Throws StateError for an action that the robot does not have.
  static void check(const RobotSpec& robot, Action action);
  [[nodiscard]] const WorldState& state() const { return state_; }
  [[nodiscard]] const LoadedHouse& house() const { return *house_; }
  [[nodiscard]] std::span<const std::int32_t> targets() const;
  [[nodiscard]] const RobotSpec& robot() const { return house_->robot; }
  [[nodiscard]] const Pose& pose() const { return state_.pose; }
  /// For looking ahead with moved(); refers to this world.
  [[nodiscard]] Surroundings surroundings() const { return {*house_, state_.things}; }
  void restore(std::shared_ptr<const LoadedHouse> house, const WorldState& state,
               FieldCache* fields);

  void write_facts(const TargetPixels& pixels, Facts& facts) const;

  /// The field that leads to the goal, of visit_rooms to the nearest room not seen yet; nullptr
  /// without.
  [[nodiscard]] const GeodesicField* field() const { return field_.get(); }

  /// The next action of the expert for the episode's goal (expert.hpp). Keeps its plan in the
  /// state.
  [[nodiscard]] Action expert_action(const TargetPixels& pixels);

 private:
  void begin_step(Action action);
  void end_step(Action action, bool is_moved);
  bool move(Action action);  // false if it fails
  void note_progress();
  void arrive();      // notes where the robot is now
  bool enter_room();  // true if it was not seen before
  void find_field();
  bool report_room();  // false if the room was reported before, or there is none
  void write_rooms(Facts& facts) const;
  void write_targets(const TargetPixels& pixels, Facts& facts) const;
  void write_hand(Facts& facts) const;
  void write_walk(Facts& facts) const;

  std::shared_ptr<const LoadedHouse> house_;
  FieldCache* fields_ = nullptr;
  std::shared_ptr<const GeodesicField> field_;
  WorldState state_;
};

}  // namespace flare::sim
