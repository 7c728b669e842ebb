// State of one env. step() is the whole pipeline of an action; nothing here knows of images.
#pragma once

#include <cstdint>
#include <memory>

#include "sim/action.hpp"
#include "sim/collision.hpp"
#include "sim/facts.hpp"
#include "sim/house.hpp"
#include "sim/nav_grid.hpp"

namespace flare::sim {

/// A house with what is derived from it. Immutable, shared by all worlds that play in it.
struct LoadedHouse {
  House house;
  CollisionMap collision;
  NavGrid grid;
  LoadedHouse(House house_in);  // NOLINT(google-explicit-constructor)
};

/// Camera parameters of one episode (flare.md section 2.2).
struct CameraSettings {
  float nav_pitch_deg = 27.0F, nav_fov_deg = 59.0F;
  float manip_pitch_deg = 33.0F, manip_fov_deg = 59.0F;
};

/// Plain data, so that it can be saved and loaded as bytes (exact resume).
struct WorldState {
  EpisodeSpec spec{};
  Vec2 position;
  float yaw_deg = 0.0F;
  float travelled = 0.0F;
  std::int32_t step = 0;
  std::int32_t last_action = -1;
  std::uint64_t rooms_seen = 0;
  std::uint8_t last_action_success = 1;
  std::uint8_t collided = 0;
  CameraSettings cameras;
};

class World {
 public:
  static constexpr float kAgentHeight = 0.9009982F;   // m, y of the reference point
  static constexpr float kVisibilityDistance = 2.0F;  // m

  /// Starts an episode. Throws StateError if the start is inside an obstacle or a target index is
  /// out of range.
  void reset(std::shared_ptr<const LoadedHouse> house, const EpisodeSpec& spec);

  /// Executes one action: a blocked move or rotation fails and changes nothing.
  void step(Action action);

  [[nodiscard]] const WorldState& state() const { return state_; }
  [[nodiscard]] const LoadedHouse& house() const { return *house_; }
  void restore(std::shared_ptr<const LoadedHouse> house, const WorldState& state);

  /// @param pixels [num_targets] pixels of each target in the navigation image
  void write_facts(std::span<const std::int32_t> pixels, Facts& facts) const;

  /// The expert's next action: walks the geodesic field, turns until the nearest target is centred
  /// and visible, then done. @param pixels as for write_facts
  [[nodiscard]] Action expert_action(std::span<const std::int32_t> pixels) const;

 private:
  std::shared_ptr<const LoadedHouse> house_;
  std::shared_ptr<const GeodesicField> field_;
  WorldState state_;
};

}  // namespace flare::sim
