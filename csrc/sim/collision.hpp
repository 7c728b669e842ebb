// A disc that stands for the robot's body against walls with door gaps and object footprints.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/geometry.hpp"
#include "sim/house.hpp"
#include "sim/rearrangement.hpp"
#include "sim/robot.hpp"

namespace flare::sim {

/// A straight piece of wall on the floor plan.
struct Segment {
  Vec2 a, b;
};

/// An object's box seen from above.
struct Footprint {
  Vec2 centre, half, axis;  // axis: unit vector of the box's own x
};

Footprint footprint_of(const Object& object);
/// The point of a footprint nearest to `point`; `point` itself when it lies inside.
Vec2 closest_point(const Footprint& box, Vec2 point);
Vec2 closest_point(const Segment& segment, Vec2 point);
/// Does one footprint hold all four corners of another?
bool contains(const Footprint& outer, const Footprint& inner);
/// Do two straight pieces share a point?
bool crosses(const Segment& s, const Segment& t);
Bounds bounds_of(const Footprint& box);
/// Do they share a point?
bool overlaps(const Bounds& a, const Bounds& b);

/// An opening of a wall that a robot can pass: metres along the wall from its p0, and its top.
struct Gap {
  float x0 = 0.0F, x1 = 0.0F;
  float y1 = 0.0F;
};

/// In the order of x0.
std::vector<Gap> passable_gaps(const House& house, int wall);

/// Obstacles of one house for one body in a uniform grid. Immutable, shared by all worlds in the
/// house whose robots have this body.
class CollisionMap {
 public:
  CollisionMap(const House& house, const BodySpec& body);

  /// Would a disc of `radius` around `centre` overlap a wall or an object in the body's height
  /// band? Touching is free. True outside the house's bounds.
  /// @param things  what is no longer at home and does not block there; nullptr for nothing
  [[nodiscard]] bool blocked(Vec2 centre, float radius,
                             const Rearrangement* things = nullptr) const;
  [[nodiscard]] bool blocked(Vec2 centre) const { return blocked(centre, body_.radius); }

  /// The same for a disc swept from a to b in sub-steps of at most half a radius. `a` itself is
  /// where the disc already is and is not checked.
  [[nodiscard]] bool sweep_blocked(Vec2 a, Vec2 b, float radius,
                                   const Rearrangement* things = nullptr) const;
  [[nodiscard]] bool sweep_blocked(Vec2 a, Vec2 b) const {
    return sweep_blocked(a, b, body_.radius);
  }
  /// Is a box in the way of the body, were nothing else there?
  [[nodiscard]] static bool is_in_band(const BodySpec& body, float bottom, float top);

  /// Walls as they stand in the way: door gaps cut out, passages left out; leaves of open doors.
  [[nodiscard]] std::span<const Segment> walls() const { return segments_; }

 private:
  void add_walls(const House& house);
  void add_objects(const House& house);
  void fill_grid();
  [[nodiscard]] int column(float x) const;
  [[nodiscard]] int row(float z) const;
  [[nodiscard]] bool cell_blocks(int cell, Vec2 centre, float radius,
                                 const Rearrangement* things) const;

  BodySpec body_;
  Bounds bounds_;
  int columns_ = 0, rows_ = 0;
  std::vector<Segment> segments_;
  std::vector<Footprint> footprints_;
  std::vector<std::int32_t> objects_;  // of each footprint, index into House::objects
  // Compressed rows: the obstacles of cell c are items_[starts_[c] .. starts_[c + 1]), >= 0 a
  // segment, < 0 the footprint ~item. An obstacle is listed wherever it comes within a body radius,
  // so that a query for the body looks at one cell.
  std::vector<std::int32_t> starts_;
  std::vector<std::int32_t> items_;
};

}  // namespace flare::sim
