#include "sim/nav_grid.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

#include "sim/polygon.hpp"
#include "sim/sight.hpp"

namespace flare::sim {
namespace {

// m; the agent's reference point is off the disc's centre, in a direction that turns with it.
constexpr float kClearOfEdges = 0.2F;
constexpr float kDiagonal = 1.41421356F * NavGrid::kSpacing;
// m, of distances that are settled together. Less than any step is long, so that none of them is
// found through another; and no step spans more than two such intervals.
constexpr float kInterval = 0.9F * NavGrid::kSpacing;
constexpr std::size_t kNumBuckets = 4;  // intervals that a frontier can span, as a power of two

/// The eight neighbours as steps in a grid of `columns`; a diagonal lists the two places it passes
/// between, both of which must be free.
struct Neighbour {
  int step;
  int beside0, beside1;
  float cost;
};

std::array<Neighbour, 8> neighbours(int columns) {
  const int up = columns;
  return {{{1, 0, 0, NavGrid::kSpacing},
           {-1, 0, 0, NavGrid::kSpacing},
           {up, 0, 0, NavGrid::kSpacing},
           {-up, 0, 0, NavGrid::kSpacing},
           {up + 1, up, 1, kDiagonal},
           {up - 1, up, -1, kDiagonal},
           {-up + 1, -up, 1, kDiagonal},
           {-up - 1, -up, -1, kDiagonal}}};
}

/// Cells that were found and are not settled, by the interval of their distance.
class Frontier {
 public:
  struct Entry {
    float distance;
    std::int32_t cell;
  };

  void push(const Entry& entry) {
    const auto interval = static_cast<std::size_t>(entry.distance / kInterval);
    buckets_[interval % kNumBuckets].push_back(entry);
    ++size_;
  }

  /// Calls settle(entry) for each in the order of intervals; settle may push.
  template <typename Settle>
  void drain(const Settle& settle) {
    for (std::size_t interval = 0; size_ > 0; ++interval) {
      auto& bucket = buckets_[interval % kNumBuckets];
      for (std::size_t i = 0; i < bucket.size(); ++i) settle(Entry(bucket[i]));
      size_ -= bucket.size();
      bucket.clear();
    }
  }

 private:
  std::array<std::vector<Entry>, kNumBuckets> buckets_;
  std::size_t size_ = 0;
};

}  // namespace

int room_at(const House& house, Vec2 point) {
  for (std::size_t i = 0; i < house.rooms.size(); ++i) {
    if (polygon_contains(house.rooms[i].polygon, point)) return static_cast<int>(i);
  }
  return -1;
}

float distance_to_object(const Object& object, Vec2 point) {
  return length(closest_point(footprint_of(object), point) - point);
}

NavGrid::NavGrid(const House& house, const CollisionMap& collision, const BodySpec& body)
    : bounds_(house.bounds) {
  const Vec2 size = bounds_.max - bounds_.min;
  columns_ = static_cast<int>(std::lround(std::floor(size.x / kSpacing))) + 3;
  row_count_ = static_cast<int>(std::lround(std::floor(size.z / kSpacing))) + 3;
  keep_largest_component(free_places(collision, body.radius + kPlaceMargin), house);
  link_cells();
  sort_into_rooms(house);
}

Vec2 NavGrid::place(int index) const {
  return {bounds_.min.x + kSpacing * static_cast<float>(index % columns_ - 1),
          bounds_.min.z + kSpacing * static_cast<float>(index / columns_ - 1)};
}

std::vector<std::uint8_t> NavGrid::free_places(const CollisionMap& collision, float radius) const {
  std::vector<std::uint8_t> is_free(static_cast<std::size_t>(columns_ * row_count_), 0);
  for (int r = 1; r + 1 < row_count_; ++r) {
    for (int c = 1; c + 1 < columns_; ++c) {
      const int index = r * columns_ + c;
      is_free[static_cast<std::size_t>(index)] = !collision.blocked(place(index), radius);
    }
  }
  return is_free;
}

void NavGrid::keep_largest_component(const std::vector<std::uint8_t>& is_free, const House& house) {
  const auto around = neighbours(columns_);
  const auto open = [&](int index) { return is_free[static_cast<std::size_t>(index)] != 0; };
  std::vector<std::uint8_t> is_seen(is_free.size(), 0);
  std::vector<std::int32_t> component;
  std::ptrdiff_t most_inside = 0;
  for (int start = 0; start < columns_ * row_count_; ++start) {
    if (!open(start) || is_seen[static_cast<std::size_t>(start)] != 0) continue;
    component.assign(1, start);
    is_seen[static_cast<std::size_t>(start)] = 1;
    for (std::size_t i = 0; i < component.size(); ++i) {
      const int here = component[i];
      for (const Neighbour& n : around) {
        const int there = here + n.step;
        if (!open(there) || is_seen[static_cast<std::size_t>(there)] != 0) continue;
        if (!open(here + n.beside0) || !open(here + n.beside1)) continue;
        is_seen[static_cast<std::size_t>(there)] = 1;
        component.push_back(there);
      }
    }
    // The ground beside an L-shaped house lies inside its bounds and may be the larger part.
    const std::ptrdiff_t inside =
        std::count_if(component.begin(), component.end(),
                      [&](std::int32_t index) { return room_at(house, place(index)) >= 0; });
    if (inside > most_inside) {
      most_inside = inside;
      place_of_ = component;
    }
  }
  std::sort(place_of_.begin(), place_of_.end());
  cell_at_.assign(is_free.size(), -1);
  for (const std::int32_t index : place_of_) {
    cell_at_[static_cast<std::size_t>(index)] = static_cast<std::int32_t>(cells_.size());
    cells_.push_back(place(index));
  }
}

void NavGrid::link_cells() {
  const auto around = neighbours(columns_);
  const auto is_cell = [&](int index) { return cell_at_[static_cast<std::size_t>(index)] >= 0; };
  links_.assign(cells_.size(), 0);
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    for (std::size_t n = 0; n < around.size(); ++n) {
      const int there = place_of_[i] + around[n].step;
      const bool is_open = is_cell(there) && is_cell(place_of_[i] + around[n].beside0) &&
                           is_cell(place_of_[i] + around[n].beside1);
      if (is_open) links_[i] |= static_cast<std::uint8_t>(1U << n);
    }
  }
}

void NavGrid::sort_into_rooms(const House& house) {
  std::vector<std::vector<std::int32_t>> inside(house.rooms.size());
  room_cells_.resize(house.rooms.size());
  rooms_.reserve(cells_.size());
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    rooms_.push_back(room_at(house, cells_[i]));
    if (rooms_[i] < 0) continue;
    const auto room = static_cast<std::size_t>(rooms_[i]);
    inside[room].push_back(static_cast<std::int32_t>(i));
    if (distance_to_edges(house.rooms[room].polygon, cells_[i]) < kClearOfEdges) continue;
    room_cells_[room].push_back(static_cast<std::int32_t>(i));
  }
  for (std::size_t r = 0; r < inside.size(); ++r) {
    if (room_cells_[r].empty()) room_cells_[r] = std::move(inside[r]);
  }
}

int NavGrid::column_near(float x) const {
  return static_cast<int>(std::lround((x - bounds_.min.x) / kSpacing)) + 1;
}

int NavGrid::row_near(float z) const {
  return static_cast<int>(std::lround((z - bounds_.min.z) / kSpacing)) + 1;
}

int NavGrid::nearest_cell(Vec2 point) const {
  constexpr int kRings = 5;  // kNearestMax / kSpacing
  const int column = column_near(point.x);
  const int row = row_near(point.z);
  int best = -1;
  float best_distance = kNearestMax;
  for (int ring = 0; ring <= kRings; ++ring) {
    // Every place of this ring is at least ring - 1/2 spacings away.
    if (best >= 0 && best_distance <= (static_cast<float>(ring) - 0.5F) * kSpacing) break;
    for (int r = row - ring; r <= row + ring; ++r) {
      if (r < 0 || r >= row_count_) continue;
      const bool is_edge = r == row - ring || r == row + ring;
      for (int c = column - ring; c <= column + ring; c += is_edge || ring == 0 ? 1 : 2 * ring) {
        if (c < 0 || c >= columns_) continue;
        const int cell = cell_at_[static_cast<std::size_t>(r * columns_ + c)];
        if (cell < 0) continue;
        const float apart = length(cells_[static_cast<std::size_t>(cell)] - point);
        if (apart < best_distance || (best < 0 && apart <= kNearestMax)) {
          best = cell;
          best_distance = apart;
        }
      }
    }
  }
  return best;
}

/// Dijkstra with buckets. Where two ways are equally long, the one through the place that is nearer
/// to its goal, then of the lower number, is taken: the order of settling decides nothing.
void NavGrid::spread(GeodesicField& field) const {
  const auto around = neighbours(columns_);
  Frontier frontier;
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    if (field.distance[i] == 0.0F) frontier.push({0.0F, static_cast<std::int32_t>(i)});
  }
  const auto is_before = [&](const Frontier::Entry& a, std::int32_t b) {
    return std::pair(a.distance, a.cell) <
           std::pair(field.distance[static_cast<std::size_t>(b)], b);
  };
  frontier.drain([&](const Frontier::Entry& entry) {
    const auto here = static_cast<std::size_t>(entry.cell);
    if (entry.distance > field.distance[here]) return;  // found again nearer since
    for (unsigned links = links_[here]; links != 0; links &= links - 1) {
      const Neighbour& n = around[static_cast<std::size_t>(std::countr_zero(links))];
      const std::int32_t neighbour = cell_at_[static_cast<std::size_t>(place_of_[here] + n.step)];
      const auto there = static_cast<std::size_t>(neighbour);
      const float through = entry.distance + n.cost;
      const float known = field.distance[there];
      if (known >= 0.0F && known < through) continue;
      if (known == through && !is_before(entry, field.next[there])) continue;
      field.distance[there] = through;
      field.next[there] = entry.cell;
      field.goal[there] = field.goal[here];
      if (known != through) frontier.push({through, neighbour});
    }
  });
}

GeodesicField NavGrid::field_to_rooms(std::uint64_t rooms) const {
  std::vector<std::int32_t> goal_cells;
  for (std::size_t r = 0; r < room_cells_.size() && r < kMaxRooms; ++r) {
    if ((rooms >> r & 1U) == 0) continue;
    goal_cells.insert(goal_cells.end(), room_cells_[r].begin(), room_cells_[r].end());
  }
  return field_to_cells(goal_cells);
}

GeodesicField NavGrid::field_to_cells(std::span<const std::int32_t> goal_cells) const {
  std::vector<GoalCell> goals;
  for (const std::int32_t cell : goal_cells) goals.push_back({cell, -1});
  return field_to_goals(goals);
}

GeodesicField NavGrid::field_to_goals(std::span<const GoalCell> goal_cells) const {
  GeodesicField field;
  field.distance.assign(cells_.size(), -1.0F);
  field.next.assign(cells_.size(), -1);
  field.goal.assign(cells_.size(), -1);
  for (const auto& [cell, goal] : goal_cells) {
    const auto i = static_cast<std::size_t>(cell);
    if (field.distance[i] == 0.0F) continue;  // the first goal keeps its cell
    field.distance[i] = 0.0F;
    field.next[i] = cell;
    field.goal[i] = goal;
  }
  spread(field);
  return field;
}

GeodesicField NavGrid::field_to_objects(const House& house, const CollisionMap& collision,
                                        const RobotSpec& robot,
                                        std::span<const std::int32_t> objects, float reach) const {
  std::vector<GoalCell> goals;
  const auto mark = [&](std::size_t target, const TargetSight& sight, auto&& qualifies) {
    const std::size_t before = goals.size();
    each_in(sight.area(), [&](std::int32_t cell, Vec2 place) {
      if (qualifies(place)) goals.push_back({cell, static_cast<std::int8_t>(target)});
    });
    return goals.size() > before;
  };
  for (std::size_t k = 0; k < objects.size(); ++k) {
    const TargetSight sight(house, collision, robot, objects[k], reach);
    const bool is_seen = mark(k, sight, [&](Vec2 point) { return sight.seen_from(point); });
    // What hides it is an estimate, the camera's angle is not.
    if (!is_seen) mark(k, sight, [&](Vec2 point) { return sight.in_view(point); });
  }
  return field_to_goals(goals);
}

}  // namespace flare::sim
