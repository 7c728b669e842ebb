#include "sim/collision.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "sim/house_loader.hpp"

namespace flare::sim {
namespace {

constexpr float kCell = 0.5F;             // m, side of a lookup cell
constexpr float kLowestObstacle = 0.05F;  // m, the base rolls over what is flatter
constexpr float kWallReach = 0.1F;  // m, what hangs on a wall and sticks out less is no obstacle
constexpr float kShortestWall = 1e-4F;  // m

bool is_obstacle(const Object& object, const BodySpec& body) {
  if (object.on_wall && std::min(object.size.x, object.size.z) < kWallReach) return false;
  return CollisionMap::is_in_band(body, object.center.y - 0.5F * object.size.y,
                                  object.center.y + 0.5F * object.size.y);
}

Bounds bounds_of(const Segment& s) {
  return {{std::min(s.a.x, s.b.x), std::min(s.a.z, s.b.z)},
          {std::max(s.a.x, s.b.x), std::max(s.a.z, s.b.z)}};
}

float side(Vec2 a, Vec2 b, Vec2 p) { return (b.x - a.x) * (p.z - a.z) - (b.z - a.z) * (p.x - a.x); }

}  // namespace

Footprint footprint_of(const Object& object) {
  // Yaw is clockwise from above: the box's own x axis (1, 0) turns towards -z.
  const Vec2 ahead = heading(object.rotation_deg.y);
  return {{object.center.x, object.center.z},
          {0.5F * object.size.x, 0.5F * object.size.z},
          {ahead.z, -ahead.x}};
}

Vec2 closest_point(const Footprint& box, Vec2 point) {
  const Vec2 offset = point - box.centre;
  const Vec2 other = {-box.axis.z, box.axis.x};
  const float u = dot(offset, box.axis);
  const float v = dot(offset, other);
  if (std::abs(u) <= box.half.x && std::abs(v) <= box.half.z) return point;
  return box.centre + box.axis * std::clamp(u, -box.half.x, box.half.x) +
         other * std::clamp(v, -box.half.z, box.half.z);
}

Vec2 closest_point(const Segment& segment, Vec2 point) {
  const Vec2 along = segment.b - segment.a;
  const float t = dot(point - segment.a, along) / dot(along, along);
  return segment.a + along * std::clamp(t, 0.0F, 1.0F);
}

bool contains(const Footprint& outer, const Footprint& inner) {
  const Vec2 u = inner.axis * inner.half.x;
  const Vec2 v = Vec2{-inner.axis.z, inner.axis.x} * inner.half.z;
  const std::array<Vec2, 4> corners = {inner.centre + u + v, inner.centre + u - v,
                                       inner.centre - u + v, inner.centre - u - v};
  return std::all_of(corners.begin(), corners.end(), [&](Vec2 corner) {
    return length(closest_point(outer, corner) - corner) == 0.0F;
  });
}

bool crosses(const Segment& s, const Segment& t) {
  const float a = side(s.a, s.b, t.a);
  const float b = side(s.a, s.b, t.b);
  const float c = side(t.a, t.b, s.a);
  const float d = side(t.a, t.b, s.b);
  return a * b <= 0.0F && c * d <= 0.0F;
}

Bounds bounds_of(const Footprint& box) {
  const float dx = std::abs(box.axis.x) * box.half.x + std::abs(box.axis.z) * box.half.z;
  const float dz = std::abs(box.axis.z) * box.half.x + std::abs(box.axis.x) * box.half.z;
  return {{box.centre.x - dx, box.centre.z - dz}, {box.centre.x + dx, box.centre.z + dz}};
}

bool overlaps(const Bounds& a, const Bounds& b) {
  return a.min.x <= b.max.x && b.min.x <= a.max.x && a.min.z <= b.max.z && b.min.z <= a.max.z;
}

std::vector<Gap> passable_gaps(const House& house, int wall) {
  std::vector<Gap> gaps;
  for (const Opening& opening : house.openings) {
    if (!opening.passable || (opening.wall0 != wall && opening.wall1 != wall)) continue;
    const Span hole = hole_on_wall(house, opening, wall);
    gaps.push_back({hole.x0, hole.x1, opening.y1});
  }
  std::sort(gaps.begin(), gaps.end(), [](const Gap& a, const Gap& b) { return a.x0 < b.x0; });
  return gaps;
}

CollisionMap::CollisionMap(const House& house, const BodySpec& body)
    : body_(body), bounds_(house.bounds) {
  add_walls(house);
  add_objects(house);
  fill_grid();
}

void CollisionMap::add_walls(const House& house) {
  for (std::size_t i = 0; i < house.walls.size(); ++i) {
    const Wall& wall = house.walls[i];
    const float wall_length = length(wall.p1 - wall.p0);
    if (wall.empty || wall.y0 >= body_.height || wall_length < kShortestWall) continue;
    const Vec2 unit = (wall.p1 - wall.p0) * (1.0F / wall_length);
    const auto add = [&](float begin, float end) {
      if (end - begin < kShortestWall) return;
      segments_.push_back({wall.p0 + unit * begin, wall.p0 + unit * end});
    };
    float solid_from = 0.0F;
    for (const Gap& gap : passable_gaps(house, static_cast<int>(i))) {
      add(solid_from, std::min(gap.x0, wall_length));
      solid_from = std::max(solid_from, gap.x1);
    }
    add(solid_from, wall_length);
  }
  for (const Opening& opening : house.openings) {
    for (const DoorLeaf& leaf : opening.leaves) segments_.push_back({leaf.hinge, leaf.tip});
  }
}

void CollisionMap::add_objects(const House& house) {
  for (std::size_t i = 0; i < house.objects.size(); ++i) {
    const Object& object = house.objects[i];
    if (!is_obstacle(object, body_)) continue;
    const Footprint box = footprint_of(object);
    // What stands wholly on an obstacle adds nothing to it; most small objects go this way.
    if (object.parent >= 0) {
      const Object& parent = house.objects[static_cast<std::size_t>(object.parent)];
      if (is_obstacle(parent, body_) && contains(footprint_of(parent), box)) continue;
    }
    footprints_.push_back(box);
    objects_.push_back(static_cast<std::int32_t>(i));
  }
}

int CollisionMap::column(float x) const {
  return std::clamp(static_cast<int>((x - bounds_.min.x) / kCell), 0, columns_ - 1);
}

int CollisionMap::row(float z) const {
  return std::clamp(static_cast<int>((z - bounds_.min.z) / kCell), 0, rows_ - 1);
}

void CollisionMap::fill_grid() {
  columns_ = std::max(1, static_cast<int>(std::ceil((bounds_.max.x - bounds_.min.x) / kCell)));
  rows_ = std::max(1, static_cast<int>(std::ceil((bounds_.max.z - bounds_.min.z) / kCell)));
  std::vector<std::pair<std::int32_t, std::int32_t>> placed;  // cell, item
  const auto place = [&](const Bounds& box, std::int32_t item) {
    for (int r = row(box.min.z - body_.radius); r <= row(box.max.z + body_.radius); ++r) {
      for (int c = column(box.min.x - body_.radius); c <= column(box.max.x + body_.radius); ++c) {
        placed.emplace_back(r * columns_ + c, item);
      }
    }
  };
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    place(bounds_of(segments_[i]), static_cast<std::int32_t>(i));
  }
  for (std::size_t i = 0; i < footprints_.size(); ++i) {
    place(bounds_of(footprints_[i]), ~static_cast<std::int32_t>(i));
  }
  std::sort(placed.begin(), placed.end());
  starts_.assign(static_cast<std::size_t>(columns_) * static_cast<std::size_t>(rows_) + 1, 0);
  for (const auto& [cell, item] : placed) {
    ++starts_[static_cast<std::size_t>(cell) + 1];
    items_.push_back(item);
  }
  for (std::size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
}

bool CollisionMap::is_in_band(const BodySpec& body, float bottom, float top) {
  return top > kLowestObstacle && bottom < body.height;
}

bool CollisionMap::cell_blocks(int cell, Vec2 centre, float radius,
                               const Rearrangement* things) const {
  const float limit = radius * radius;
  const auto first = static_cast<std::size_t>(starts_[static_cast<std::size_t>(cell)]);
  const auto last = static_cast<std::size_t>(starts_[static_cast<std::size_t>(cell) + 1]);
  for (std::size_t i = first; i < last; ++i) {
    const std::int32_t item = items_[i];
    const Vec2 nearest = item >= 0
                             ? closest_point(segments_[static_cast<std::size_t>(item)], centre)
                             : closest_point(footprints_[static_cast<std::size_t>(~item)], centre);
    const Vec2 apart = nearest - centre;
    if (dot(apart, apart) >= limit) continue;
    const bool is_away =
        item < 0 && things != nullptr && things->is_away(objects_[static_cast<std::size_t>(~item)]);
    if (!is_away) return true;
  }
  return false;
}

bool CollisionMap::blocked(Vec2 centre, float radius, const Rearrangement* things) const {
  if (centre.x < bounds_.min.x || centre.x > bounds_.max.x || centre.z < bounds_.min.z ||
      centre.z > bounds_.max.z) {
    return true;
  }
  const float beyond = std::max(0.0F, radius - body_.radius);
  for (int r = row(centre.z - beyond); r <= row(centre.z + beyond); ++r) {
    for (int c = column(centre.x - beyond); c <= column(centre.x + beyond); ++c) {
      if (cell_blocks(r * columns_ + c, centre, radius, things)) return true;
    }
  }
  return false;
}

bool CollisionMap::sweep_blocked(Vec2 a, Vec2 b, float radius, const Rearrangement* things) const {
  const Vec2 way = b - a;
  const int count = std::max(1, static_cast<int>(std::ceil(length(way) / (0.5F * radius))));
  for (int i = 1; i <= count; ++i) {
    const Vec2 centre =
        i == count ? b : a + way * (static_cast<float>(i) / static_cast<float>(count));
    if (blocked(centre, radius, things)) return true;
  }
  return false;
}

}  // namespace flare::sim
