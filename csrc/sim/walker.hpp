// What every expert does on its way: greedy along a geodesic field, and a small lattice search
// where greed does not get nearer.
#pragma once

#include <cstdint>
#include <optional>

#include "sim/world.hpp"

namespace flare::sim {

/// One decision. Holds references: make one, ask it, drop it.
class Walker {
 public:
  Walker(const LoadedHouse& house, const GeodesicField& field, WorldState& state);

 protected:
  static constexpr int kPatience = 10;      // actions without progress before the lattice search
  static constexpr float kAligned = 15.0F;  // degrees, half a turn: no turn of 30 would get nearer
  static constexpr float kFine = 3.0F;      // degrees, half a small turn

  /// Cell of the grid the body stands at, -1 if none is near.
  [[nodiscard]] int here() const;
  /// Metres left to walk, -1 where there is no way.
  [[nodiscard]] float distance_left() const;
  [[nodiscard]] bool is_free(Action action) const;
  /// Angle from the heading to a point, + right.
  [[nodiscard]] float error_to(Vec2 point) const;
  [[nodiscard]] std::optional<Action> turn(float error_deg, float tolerance_deg) const;
  /// The next action of the walk down the episode's field, or of the plan that it needs.
  [[nodiscard]] Action walk();
  [[nodiscard]] Action follow(const GeodesicField& field, int cell, float below);
  [[nodiscard]] Action search(const GeodesicField& field, float below);
  /// A free action drawn by the step and `draw`; done when walled in.
  [[nodiscard]] Action any_free(std::uint64_t draw) const;

  const LoadedHouse& house_;
  const GeodesicField& field_;
  WorldState& state_;  // only its plan is written
  Surroundings around_;
  Pose pose_;

 private:
  [[nodiscard]] Vec2 waypoint(const GeodesicField& field, Vec2 disc, int cell) const;
  [[nodiscard]] float next_best() const;
};

}  // namespace flare::sim
