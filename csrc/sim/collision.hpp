// A disc that stands for the robot's body against walls with door gaps and object footprints.
#pragma once

#include <memory>
#include <vector>

#include "core/geometry.hpp"
#include "sim/house.hpp"

namespace flare::sim {

inline constexpr float kBodyRadius = 0.1854628F;  // m, Stretch capsule
inline constexpr float kBodyHeight = 1.435714F;   // m
inline constexpr float kBodyCentreOffset =
    -0.1092373F;  // m along the heading, from the reference point

/// Obstacles of one house in a uniform grid. Immutable, shared by all worlds in the house.
class CollisionMap {
 public:
  explicit CollisionMap(const House& house);

  /// Would a disc of `radius` around `centre` touch a wall or an object in the body's height band?
  [[nodiscard]] bool blocked(Vec2 centre, float radius = kBodyRadius) const;

  /// The same for a disc swept from a to b in sub-steps of at most half a radius.
  [[nodiscard]] bool sweep_blocked(Vec2 a, Vec2 b, float radius = kBodyRadius) const;

 private:
  struct Segment {
    Vec2 a, b;
  };
  struct Footprint {
    Vec2 centre, half, axis;  // axis: unit vector of the box's own x
  };
  Bounds bounds_;
  float cell_ = 0.5F;
  int columns_ = 0, rows_ = 0;
  std::vector<Segment> segments_;
  std::vector<Footprint> footprints_;
  std::vector<std::vector<std::int32_t>> cells_;  // >= 0 segment, < 0 footprint ~index
};

}  // namespace flare::sim
