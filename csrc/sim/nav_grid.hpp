// Where the robot can stand, and how far it is to walk: an 8-connected grid over the free space,
// its largest component, and geodesic distance fields by Dijkstra.
//
// A cell is a place for the centre of the body's disc, not for the agent's reference point: a walk
// moves the disc along its heading whatever the heading is, so one grid serves all headings. The
// reference point may be off the disc's centre; a start (x, z, yaw) near a cell is therefore to be
// checked with CollisionMap::blocked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sim/collision.hpp"
#include "sim/facts.hpp"
#include "sim/house.hpp"

namespace flare::sim {

/// Distance of every reachable cell to the nearest goal cell; -1 where there is no way.
struct GeodesicField {
  std::vector<float> distance;     // [num_cells] m
  std::vector<std::int32_t> next;  // [num_cells] neighbour one step nearer, itself at a goal
  std::vector<std::int8_t> goal;   // [num_cells] which of the given objects the walk ends at, -1
};

class NavGrid {
 public:
  static constexpr float kSpacing = 0.1F;  // m
  // m, what a place must be free for beyond the body, since moves of 0.2 m and turns of 6 degrees
  // cannot follow a gap that fits exactly. (The original's narrowest navigation mesh is for a
  // radius of 0.2 m, its robot's is 0.1855 m.)
  static constexpr float kPlaceMargin = 0.0095372F;
  static constexpr float kNearestMax = 0.5F;  // m, nearest_cell looks no farther

  NavGrid(const House& house, const CollisionMap& collision, const BodySpec& body);

  [[nodiscard]] int num_cells() const { return static_cast<int>(cells_.size()); }
  [[nodiscard]] std::span<const Vec2> cells() const { return cells_; }          // largest component
  [[nodiscard]] std::span<const std::int32_t> rooms() const { return rooms_; }  // room of each cell
  /// Calls visit(cell, place) for every reachable cell of an area, and some beyond its edges.
  template <typename Visit>
  void each_in(const Bounds& area, Visit&& visit) const;
  /// The reachable cell nearest to a point, -1 if none is within kNearestMax.
  [[nodiscard]] int nearest_cell(Vec2 point) const;

  /// Distances to stand within `reach` metres of any of the objects' boxes, with a line of sight
  /// that no wall cuts and the object inside the camera's vertical angle. Places from which it is
  /// also not hidden behind another object (sight.hpp) are the goals of an object that has any.
  /// Throws nothing; all -1 when no cell qualifies.
  [[nodiscard]] GeodesicField field_to_objects(const House& house, const CollisionMap& collision,
                                               const RobotSpec& robot,
                                               std::span<const std::int32_t> objects,
                                               float reach) const;
  /// Distances to a set of cells, each with the index that GeodesicField::goal is to tell.
  struct GoalCell {
    std::int32_t cell;
    std::int8_t goal;
  };
  [[nodiscard]] GeodesicField field_to_goals(std::span<const GoalCell> goal_cells) const;
  /// Distances to stand inside one of the rooms, clear of their edges where they are wide enough.
  /// @param rooms  bit r: room r
  [[nodiscard]] GeodesicField field_to_rooms(std::uint64_t rooms) const;
  /// Distances to a set of cells.
  [[nodiscard]] GeodesicField field_to_cells(std::span<const std::int32_t> goal_cells) const;

 private:
  [[nodiscard]] std::vector<std::uint8_t> free_places(const CollisionMap& collision,
                                                      float radius) const;
  void keep_largest_component(const std::vector<std::uint8_t>& is_free, const House& house);
  void link_cells();
  void sort_into_rooms(const House& house);
  [[nodiscard]] Vec2 place(int index) const;
  [[nodiscard]] int column_near(float x) const;
  [[nodiscard]] int row_near(float z) const;
  void spread(GeodesicField& field) const;

  Bounds bounds_;
  int columns_ = 0, row_count_ = 0;    // with a blocked rim, so that neighbours need no checks
  std::vector<std::int32_t> cell_at_;  // [rows * columns] index into cells_, -1 blocked
  std::vector<Vec2> cells_;
  std::vector<std::int32_t> place_of_;  // [num_cells] index into cell_at_
  std::vector<std::uint8_t> links_;     // [num_cells] bit n: the way to neighbour n is free
  std::vector<std::int32_t> rooms_;
  std::vector<std::vector<std::int32_t>>
      room_cells_;  // of each room, those that walks to it end at
};

template <typename Visit>
void NavGrid::each_in(const Bounds& area, Visit&& visit) const {
  const int last_row = std::min(row_near(area.max.z), row_count_ - 1);
  const int last_column = std::min(column_near(area.max.x), columns_ - 1);
  for (int r = std::max(0, row_near(area.min.z)); r <= last_row; ++r) {
    for (int c = std::max(0, column_near(area.min.x)); c <= last_column; ++c) {
      const std::int32_t cell = cell_at_[static_cast<std::size_t>(r * columns_ + c)];
      if (cell >= 0) visit(cell, cells_[static_cast<std::size_t>(cell)]);
    }
  }
}

/// Index of the room whose floor polygon holds the point, -1 if none (flare.md section 4.4).
int room_at(const House& house, Vec2 point);

/// Horizontal distance from a point to the footprint of an object's box, 0 inside.
float distance_to_object(const Object& object, Vec2 point);

}  // namespace flare::sim
