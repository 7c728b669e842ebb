// The shortest-path expert whose actions imitation learns from. A pure function of the world's
// state (its plan included) and of what the camera sees: greedy along the geodesic field, and a
// small lattice search where greed does not get nearer.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "sim/world.hpp"

namespace flare::sim {

class Expert {
 public:
  /// Holds references: make one, ask next(), drop it.
  /// @param pixels  [num_targets] of each target in the navigation image
  Expert(const LoadedHouse& house, const GeodesicField& field, WorldState& state,
         std::span<const std::int32_t> pixels);

  [[nodiscard]] Action next();

 private:
  [[nodiscard]] Vec2 target_centre(int target) const;
  [[nodiscard]] float target_distance(int target) const;
  [[nodiscard]] std::optional<int> nearest_visible() const;
  [[nodiscard]] bool is_free(Action action) const;
  [[nodiscard]] std::optional<Action> turn(float error_deg, float tolerance_deg) const;
  [[nodiscard]] Action finish(int target) const;
  [[nodiscard]] Action look_for(int target);
  [[nodiscard]] Vec2 waypoint(const GeodesicField& field, Vec2 disc, int cell) const;
  [[nodiscard]] Action follow(const GeodesicField& field, int cell, float below);
  [[nodiscard]] Action search(const GeodesicField& field, float below);
  [[nodiscard]] float next_best() const;
  [[nodiscard]] Action try_other_place();
  [[nodiscard]] Action any_free(std::uint64_t draw) const;

  const LoadedHouse& house_;
  const GeodesicField& field_;
  WorldState& state_;  // only its plan is written
  std::span<const std::int32_t> pixels_;
  Surroundings around_;
  Pose pose_;
};

}  // namespace flare::sim
