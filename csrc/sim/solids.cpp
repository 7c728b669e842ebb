#include "sim/solids.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "sim/door_leaf.hpp"

namespace flare::sim {
namespace {

constexpr float kCell = 0.3F;           // m, side of a lookup cell
constexpr float kShortestWall = 1e-4F;  // m
// m, a part is cut down by no more for what stands in it: a cupboard has an inside. A bed has none.
constexpr float kMostCut = 0.3F;
constexpr float kMostCutOfBed = 1.0F;
constexpr float kTouch = 1e-4F;  // m, boxes that share less than this only touch

/// A part of an object as fractions of its box, -0.5 to 0.5 along each of its own axes.
struct Part {
  Vec3 low, high;
};

constexpr Part kWhole = {{-0.5F, -0.5F, -0.5F}, {0.5F, 0.5F, 0.5F}};

// The families of furniture that an arm reaches under, into or over, as they are drawn
// (render/shapes.cpp); every other family fills its box.
constexpr std::array<Part, 5> kTableParts = {{{{-0.5F, 0.4F, -0.5F}, {0.5F, 0.5F, 0.5F}},
                                              {{-0.5F, -0.5F, -0.5F}, {-0.41F, 0.4F, -0.41F}},
                                              {{0.41F, -0.5F, -0.5F}, {0.5F, 0.4F, -0.41F}},
                                              {{-0.5F, -0.5F, 0.41F}, {-0.41F, 0.4F, 0.5F}},
                                              {{0.41F, -0.5F, 0.41F}, {0.5F, 0.4F, 0.5F}}}};
constexpr std::array<Part, 2> kChairParts = {
    {{{-0.5F, -0.5F, -0.5F}, {0.5F, 0.02F, 0.5F}}, {{-0.5F, 0.02F, -0.5F}, {0.5F, 0.5F, -0.38F}}}};
constexpr std::array<Part, 2> kBedParts = {
    {{{-0.5F, -0.5F, -0.44F}, {0.5F, 0.12F, 0.5F}}, {{-0.5F, -0.5F, -0.5F}, {0.5F, 0.5F, -0.44F}}}};
constexpr std::array<Part, 4> kSofaParts = {{{{-0.38F, -0.5F, -0.2F}, {0.38F, -0.06F, 0.5F}},
                                             {{-0.5F, -0.5F, -0.5F}, {0.5F, 0.5F, -0.2F}},
                                             {{-0.5F, -0.5F, -0.2F}, {-0.38F, 0.16F, 0.5F}},
                                             {{0.38F, -0.5F, -0.2F}, {0.5F, 0.16F, 0.5F}}}};
constexpr std::array<Part, 8> kShelfParts = {{{{-0.5F, -0.5F, -0.5F}, {-0.45F, 0.5F, 0.5F}},
                                              {{0.45F, -0.5F, -0.5F}, {0.5F, 0.5F, 0.5F}},
                                              {{-0.45F, -0.5F, -0.5F}, {0.45F, 0.5F, -0.44F}},
                                              {{-0.45F, -0.5F, -0.44F}, {0.45F, -0.46F, 0.49F}},
                                              {{-0.45F, -0.26F, -0.44F}, {0.45F, -0.22F, 0.49F}},
                                              {{-0.45F, -0.02F, -0.44F}, {0.45F, 0.02F, 0.49F}},
                                              {{-0.45F, 0.22F, -0.44F}, {0.45F, 0.26F, 0.49F}},
                                              {{-0.45F, 0.46F, -0.44F}, {0.45F, 0.5F, 0.49F}}}};
constexpr std::array<Part, 2> kLampParts = {{{{-0.3F, -0.5F, -0.3F}, {0.3F, -0.46F, 0.3F}},
                                             {{-0.05F, -0.46F, -0.05F}, {0.05F, 0.5F, 0.05F}}}};

std::span<const Part> parts_of(Shape shape) {
  switch (shape) {
    case Shape::kTable:
      return kTableParts;
    case Shape::kChair:
      return kChairParts;
    case Shape::kBed:
      return kBedParts;
    case Shape::kSofa:
      return kSofaParts;
    case Shape::kShelf:
      return kShelfParts;
    case Shape::kLamp:
      return kLampParts;
    default:
      return {&kWhole, 1};
  }
}

/// Half the extent of a footprint along an axis.
float reach_along(const Footprint& box, Vec2 axis) {
  const Vec2 other = {-box.axis.z, box.axis.x};
  return box.half.x * std::abs(dot(box.axis, axis)) + box.half.z * std::abs(dot(other, axis));
}

}  // namespace

Solid box_of(const House& house, std::int32_t object, Vec3 center, float yaw_deg) {
  Object placed;  // footprint_of reads only these
  const Object& home = house.objects[static_cast<std::size_t>(object)];
  placed.center = center;
  placed.size = home.size;
  placed.rotation_deg.y = yaw_deg;
  return {footprint_of(placed), center.y - 0.5F * home.size.y, center.y + 0.5F * home.size.y,
          object};
}

Solid box_of(const House& house, const Rearrangement& things, std::int32_t object) {
  if (const Displaced* entry = things.find(object)) {
    return box_of(house, object, entry->center, entry->yaw_deg);
  }
  const Object& home = house.objects[static_cast<std::size_t>(object)];
  return box_of(house, object, home.center, home.rotation_deg.y);
}

float distance_to(const Solid& solid, Vec3 point) {
  const Vec2 flat = {point.x, point.z};
  const Vec2 apart = closest_point(solid.base, flat) - flat;
  const float above = std::max({solid.y0 - point.y, 0.0F, point.y - solid.y1});
  return std::sqrt(dot(apart, apart) + above * above);
}

bool overlaps(const Footprint& a, const Footprint& b) {
  const Vec2 apart = b.centre - a.centre;
  const std::array<Vec2, 4> axes = {a.axis, Vec2{-a.axis.z, a.axis.x}, b.axis,
                                    Vec2{-b.axis.z, b.axis.x}};
  return std::all_of(axes.begin(), axes.end(), [&](Vec2 axis) {
    return std::abs(dot(apart, axis)) < reach_along(a, axis) + reach_along(b, axis) - kTouch;
  });
}

bool overlaps(const Solid& a, const Solid& b) {
  return a.y0 < b.y1 - kTouch && b.y0 < a.y1 - kTouch && overlaps(a.base, b.base);
}

Solid part_of(const Object& object, std::int32_t index, Vec3 low, Vec3 high) {
  const Vec3 middle = (low + high) * 0.5F;
  const Vec3 half = (high - low) * 0.5F;
  Solid solid;
  solid.base = footprint_of(object);
  const Vec2 other = {-solid.base.axis.z, solid.base.axis.x};
  solid.base.centre = solid.base.centre + solid.base.axis * (middle.x * object.size.x) +
                      other * (middle.z * object.size.z);
  solid.base.half = {half.x * object.size.x, half.z * object.size.z};
  solid.y0 = object.center.y + low.y * object.size.y;
  solid.y1 = object.center.y + high.y * object.size.y;
  solid.object = index;
  return solid;
}

std::vector<Solid> contents_of(const House& house, std::int32_t object) {
  std::vector<Solid> contents;
  for (std::size_t i = static_cast<std::size_t>(object) + 1; i < house.objects.size(); ++i) {
    const Object& other = house.objects[i];
    if (other.parent != object) continue;
    contents.push_back(
        box_of(house, static_cast<std::int32_t>(i), other.center, other.rotation_deg.y));
  }
  return contents;
}

float top_below(const Solid& part, Shape shape, std::span<const Solid> contents) {
  const float most = shape == Shape::kBed ? kMostCutOfBed : kMostCut;
  Solid cut = part;
  for (const Solid& content : contents) {
    if (!overlaps(cut, content) || cut.y1 - content.y0 > most) continue;
    cut.y1 = std::max(cut.y0, content.y0);
  }
  return cut.y1;
}

std::vector<Solid> parts_of(const House& house, std::int32_t object) {
  const Object& home = house.objects[static_cast<std::size_t>(object)];
  const std::vector<Solid> contents = contents_of(house, object);
  std::vector<Solid> parts;
  for (const Part& part : parts_of(home.shape)) {
    parts.push_back(part_of(home, object, part.low, part.high));
    parts.back().y1 = top_below(parts.back(), home.shape, contents);
  }
  std::erase_if(parts, [](const Solid& part) { return part.y1 <= part.y0; });
  return parts;
}

void Rearrangement::forget(std::int32_t object) {
  auto* const end = displaced.data() + num_displaced;
  auto* const kept = std::remove_if(displaced.data(), end,
                                    [&](const Displaced& entry) { return entry.object == object; });
  std::fill(kept, end, Displaced{});  // equal states are equal bytes
  num_displaced = static_cast<std::int32_t>(kept - displaced.data());
}

bool Rearrangement::put(const Displaced& entry) {
  const bool is_known = find(entry.object) != nullptr;
  if (!is_known && num_displaced >= kMaxDisplaced) return false;
  forget(entry.object);
  displaced[static_cast<std::size_t>(num_displaced++)] = entry;
  return true;
}

SolidMap::SolidMap(const House& house) : bounds_(house.bounds) {
  add_walls(house);
  for (std::size_t i = 0; i < house.objects.size(); ++i) {
    if (house.objects[i].pickupable) continue;
    const auto parts = parts_of(house, static_cast<std::int32_t>(i));
    solids_.insert(solids_.end(), parts.begin(), parts.end());
  }
  fill_grid();
}

void SolidMap::add_walls(const House& house) {
  for (std::size_t i = 0; i < house.walls.size(); ++i) {
    const Wall& wall = house.walls[i];
    const float wall_length = length(wall.p1 - wall.p0);
    if (wall.empty || wall_length < kShortestWall) continue;
    const Vec2 unit = (wall.p1 - wall.p0) * (1.0F / wall_length);
    const auto add = [&](float begin, float end, float y0, float y1) {
      if (end - begin < kShortestWall || y1 <= y0) return;
      const Footprint base = {
          wall.p0 + unit * (0.5F * (begin + end)), {0.5F * (end - begin), 0.0F}, unit};
      solids_.push_back({base, y0, y1, -1});
    };
    float solid_from = 0.0F;
    for (const Gap& gap : passable_gaps(house, static_cast<int>(i))) {
      add(solid_from, std::min(gap.x0, wall_length), wall.y0, wall.y1);
      add(std::max(gap.x0, 0.0F), std::min(gap.x1, wall_length), gap.y1, wall.y1);
      solid_from = std::max(solid_from, gap.x1);
    }
    add(solid_from, wall_length, wall.y0, wall.y1);
  }
  for (const Opening& opening : house.openings) {
    for (const DoorLeaf& leaf : opening.leaves) {
      const Vec2 span = leaf.tip - leaf.hinge;
      const float width = length(span);
      const Footprint base = {(leaf.hinge + leaf.tip) * 0.5F,
                              {0.5F * width, 0.5F * kLeafThickness},
                              span * (1.0F / width)};
      solids_.push_back({base, opening.y0, opening.y1, -1});
    }
  }
}

int SolidMap::column(float x) const {
  return std::clamp(static_cast<int>((x - bounds_.min.x) / kCell), 0, columns_ - 1);
}

int SolidMap::row(float z) const {
  return std::clamp(static_cast<int>((z - bounds_.min.z) / kCell), 0, rows_ - 1);
}

void SolidMap::fill_grid() {
  columns_ = std::max(1, static_cast<int>(std::ceil((bounds_.max.x - bounds_.min.x) / kCell)));
  rows_ = std::max(1, static_cast<int>(std::ceil((bounds_.max.z - bounds_.min.z) / kCell)));
  std::vector<std::pair<std::int32_t, std::int32_t>> placed;  // cell, solid
  for (std::size_t i = 0; i < solids_.size(); ++i) {
    const Bounds box = bounds_of(solids_[i].base);
    for (int r = row(box.min.z - kMargin); r <= row(box.max.z + kMargin); ++r) {
      for (int c = column(box.min.x - kMargin); c <= column(box.max.x + kMargin); ++c) {
        placed.emplace_back(r * columns_ + c, static_cast<std::int32_t>(i));
      }
    }
  }
  std::sort(placed.begin(), placed.end());
  starts_.assign(static_cast<std::size_t>(columns_) * static_cast<std::size_t>(rows_) + 1, 0);
  for (const auto& [cell, item] : placed) {
    ++starts_[static_cast<std::size_t>(cell) + 1];
    items_.push_back(item);
  }
  for (std::size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
}

std::span<const std::int32_t> SolidMap::near(Vec2 point) const {
  const auto cell = static_cast<std::size_t>(row(point.z) * columns_ + column(point.x));
  const auto first = static_cast<std::size_t>(starts_[cell]);
  return std::span(items_).subspan(first, static_cast<std::size_t>(starts_[cell + 1]) - first);
}

}  // namespace flare::sim
