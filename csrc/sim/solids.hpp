// What an arm bumps into, in three dimensions: walls with their door gaps and the parts of heavy
// objects (a table is a slab on legs). Boxes that turn about y only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/collision.hpp"
#include "sim/house.hpp"
#include "sim/rearrangement.hpp"

namespace flare::sim {

/// A box between two heights. A wall is one without thickness.
struct Solid {
  Footprint base;
  float y0 = 0.0F, y1 = 0.0F;
  std::int32_t object = -1;  // index into House::objects, -1 for a wall
};

/// The whole box of an object that stands at `center` with this yaw.
Solid box_of(const House& house, std::int32_t object, Vec3 center, float yaw_deg);
/// Where an object is that nobody holds.
Solid box_of(const House& house, const Rearrangement& things, std::int32_t object);

/// Distance from a point to a box, 0 inside.
float distance_to(const Solid& solid, Vec3 point);
/// Do the boxes share more than their faces?
bool overlaps(const Solid& a, const Solid& b);
bool overlaps(const Footprint& a, const Footprint& b);

/// The boxes of what the house says stands on an object or in it.
std::vector<Solid> contents_of(const House& house, std::int32_t object);

/// Sizes of many objects are estimates, and so are their inner shapes: a part of one gives way to
/// what stands on it. The height that the part then ends at, never below its own bottom.
float top_below(const Solid& part, Shape shape, std::span<const Solid> contents);

/// A part of an object in the world; low and high are fractions of its box, -0.5 to 0.5.
Solid part_of(const Object& object, std::int32_t index, Vec3 low, Vec3 high);

/// The solid parts of an object, largest first; light (pickupable) objects have them too.
std::vector<Solid> parts_of(const House& house, std::int32_t object);

/// The solids of one house in a uniform grid: its walls and what is too heavy to be pushed, which
/// is every object that cannot be picked up. Immutable, the same for all robots.
class SolidMap {
 public:
  static constexpr float kMargin = 0.12F;  // m, no arm is thicker

  explicit SolidMap(const House& house);

  /// Everything that comes within kMargin of a point, and more.
  [[nodiscard]] std::span<const std::int32_t> near(Vec2 point) const;
  [[nodiscard]] const Solid& solid(std::int32_t index) const {
    return solids_[static_cast<std::size_t>(index)];
  }
  [[nodiscard]] std::span<const Solid> all() const { return solids_; }
  /// Calls visit(solid) for all whose bounds meet the footprint's, some twice, until one returns
  /// true.
  template <typename Visit>
  bool any_near(const Footprint& area, Visit&& visit) const;

 private:
  void add_walls(const House& house);
  void fill_grid();
  [[nodiscard]] int column(float x) const;
  [[nodiscard]] int row(float z) const;

  Bounds bounds_;
  int columns_ = 0, rows_ = 0;
  std::vector<Solid> solids_;
  // Compressed rows: the solids of cell c are items_[starts_[c] .. starts_[c + 1]).
  std::vector<std::int32_t> starts_;
  std::vector<std::int32_t> items_;
};

template <typename Visit>
bool SolidMap::any_near(const Footprint& area, Visit&& visit) const {
  const Bounds box = bounds_of(area);
  for (int r = row(box.min.z); r <= row(box.max.z); ++r) {
    for (int c = column(box.min.x); c <= column(box.max.x); ++c) {
      const auto cell = static_cast<std::size_t>(r * columns_ + c);
      for (std::int32_t i = starts_[cell]; i < starts_[cell + 1]; ++i) {
        if (visit(solid(items_[static_cast<std::size_t>(i)]))) return true;
      }
    }
  }
  return false;
}

}  // namespace flare::sim
