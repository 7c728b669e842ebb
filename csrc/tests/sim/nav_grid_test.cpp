#include "sim/nav_grid.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "core/rng.hpp"
#include "sim/field_cache.hpp"
#include "tests/sim/house_fixture.hpp"

using namespace flare::sim;
using namespace flare::sim::testing;
using flare::Vec2;

TEST_CASE("nav grid: the free places of an empty room") {
  const LoadedHouse house(square_room(), stretch());
  // 0.2, 0.3 ... 3.8 in both directions: 0.1 and 3.9 are nearer to a wall than kPlaceRadius.
  CHECK(house.grid.num_cells() == 37 * 37);
  const int cell = house.grid.nearest_cell({1.04F, 2.96F});
  REQUIRE(cell >= 0);
  CHECK(house.grid.cells()[static_cast<std::size_t>(cell)].x == doctest::Approx(1.0));
  CHECK(house.grid.cells()[static_cast<std::size_t>(cell)].z == doctest::Approx(3.0));
  CHECK(house.grid.nearest_cell({0.0F, 0.0F}) >= 0);  // 0.28 m from (0.2, 0.2)
  CHECK(house.grid.nearest_cell({-0.5F, 2.0F}) == -1);
}

TEST_CASE("nav grid: nearest_cell agrees with a search of all cells") {
  House plan = square_room();
  add_box(plan, {2, 0.5F, 2}, {0.7F, 1, 0.9F}, 30);
  const LoadedHouse house(plan, stretch());
  for (float x = -0.2F; x < 4.2F; x += 0.173F) {
    for (float z = -0.2F; z < 4.2F; z += 0.137F) {
      float best = NavGrid::kNearestMax;
      bool is_any = false;
      for (const Vec2 cell : house.grid.cells()) {
        const float apart = flare::length(cell - Vec2{x, z});
        is_any = is_any || apart <= NavGrid::kNearestMax;
        best = std::min(best, apart);
      }
      const int found = house.grid.nearest_cell({x, z});
      CHECK((found >= 0) == is_any);
      if (found < 0) continue;
      const Vec2 cell = house.grid.cells()[static_cast<std::size_t>(found)];
      CHECK(flare::length(cell - Vec2{x, z}) == doctest::Approx(best).epsilon(1e-5));
    }
  }
}

TEST_CASE("nav grid: distances are octile and go through the door") {
  const LoadedHouse house(two_rooms(1.5F, 2.5F), stretch());
  const std::int32_t goal = house.grid.nearest_cell({6, 2});
  const GeodesicField field = house.grid.field_to_cells({&goal, 1});
  const auto from = [&](Vec2 point) {
    return field.distance[static_cast<std::size_t>(house.grid.nearest_cell(point))];
  };
  CHECK(from({6, 2}) == 0.0F);
  CHECK(from({2, 2}) == doctest::Approx(4.0).epsilon(1e-4));  // straight through
  CHECK(from({7, 3}) == doctest::Approx(std::sqrt(2.0)).epsilon(1e-4));
  CHECK(from({7.0F, 3.5F}) == doctest::Approx(std::sqrt(2.0) + 0.5).epsilon(1e-4));
}

TEST_CASE("nav grid: following next walks down the field to a goal") {
  const LoadedHouse house(two_rooms(1.5F, 2.5F), stretch());
  const std::int32_t goal = house.grid.nearest_cell({7, 1});
  const GeodesicField field = house.grid.field_to_cells({&goal, 1});
  for (std::size_t i = 0; i < field.distance.size(); ++i) {
    const auto next = static_cast<std::size_t>(field.next[i]);
    if (field.distance[i] == 0.0F) {
      CHECK(next == i);
    } else {
      CHECK(field.distance[next] < field.distance[i]);
    }
  }
}

/// Dijkstra as in the textbooks, places settled one by one in the order of (distance, number).
GeodesicField settled_one_by_one(const NavGrid& grid,
                                 std::span<const NavGrid::GoalCell> goal_cells) {
  const auto size = static_cast<std::size_t>(grid.num_cells());
  GeodesicField field{std::vector<float>(size, -1.0F), std::vector<std::int32_t>(size, -1),
                      std::vector<std::int8_t>(size, -1)};
  std::map<std::pair<long, long>, std::size_t> at;  // column, row
  const auto place_of = [&](std::size_t cell) {
    const Vec2 point = grid.cells()[cell] * (1.0F / NavGrid::kSpacing);
    return std::pair(std::lround(point.x), std::lround(point.z));
  };
  for (std::size_t i = 0; i < size; ++i) at[place_of(i)] = i;
  std::set<std::pair<float, std::size_t>> open;
  for (const auto& [cell, goal] : goal_cells) {
    const auto i = static_cast<std::size_t>(cell);
    if (!open.emplace(0.0F, i).second) continue;
    field.distance[i] = 0.0F;
    field.next[i] = cell;
    field.goal[i] = goal;
  }
  while (!open.empty()) {
    const auto [distance, here] = *open.begin();
    open.erase(open.begin());
    const auto [column, row] = place_of(here);
    for (long dr = -1; dr <= 1; ++dr) {
      for (long dc = -1; dc <= 1; ++dc) {
        const auto found = at.find({column + dc, row + dr});
        const bool is_open = found != at.end() && at.count({column + dc, row}) != 0 &&
                             at.count({column, row + dr}) != 0;
        if (!is_open || (dr == 0 && dc == 0)) continue;
        const float cost = dr != 0 && dc != 0 ? 1.41421356F * NavGrid::kSpacing : NavGrid::kSpacing;
        float& known = field.distance[found->second];
        if (known >= 0.0F && known <= distance + cost) continue;
        open.erase({known, found->second});
        known = distance + cost;
        open.emplace(known, found->second);
        field.next[found->second] = static_cast<std::int32_t>(here);
        field.goal[found->second] = field.goal[here];
      }
    }
  }
  return field;
}

TEST_CASE("nav grid: fields are those of a search that settles one place after the other") {
  House plan = two_rooms(1.5F, 2.5F);
  add_box(plan, {2, 0.5F, 2}, {0.9F, 1, 0.5F});
  add_box(plan, {6.3F, 0.5F, 1.4F}, {0.3F, 1, 1.7F});
  const LoadedHouse house(plan, stretch());
  for (std::uint64_t draw = 0; draw < 20; ++draw) {
    std::vector<NavGrid::GoalCell> goals;
    for (std::uint64_t k = 0; k < 1 + draw % 5; ++k) {
      const auto cell =
          flare::keyed_bits(7, 0, draw, k, 0) % static_cast<std::uint64_t>(house.grid.num_cells());
      goals.push_back({static_cast<std::int32_t>(cell), static_cast<std::int8_t>(k)});
    }
    const GeodesicField field = house.grid.field_to_goals(goals);
    const GeodesicField expected = settled_one_by_one(house.grid, goals);
    CHECK(field.distance == expected.distance);
    CHECK(field.next == expected.next);
    CHECK(field.goal == expected.goal);
  }
}

TEST_CASE("field cache: a visit leads to the nearest room that is left") {
  const auto house = std::make_shared<const LoadedHouse>(two_rooms(1.5F, 2.5F), stretch());
  FieldCache cache(1U << 20U);
  EpisodeSpec spec{};
  spec.goal = static_cast<std::int32_t>(Goal::kVisitRooms);
  const auto at = [&](const auto& field, Vec2 point) {
    return field->distance[static_cast<std::size_t>(house->grid.nearest_cell(point))];
  };
  const auto both = cache.get(house, spec, 0b00);
  CHECK(at(both, {2, 2}) == 0.0F);
  CHECK(at(both, {6, 2}) == 0.0F);
  const auto second = cache.get(house, spec, 0b01);
  // Clear of the edge of the room that begins at x = 4 is from x = 4.2 on.
  CHECK(at(second, {2, 2}) == doctest::Approx(2.2).epsilon(1e-4));
  CHECK(at(second, {6, 2}) == 0.0F);
  CHECK(at(cache.get(house, spec, 0b10), {6, 2}) > 2.0F);
  CHECK(cache.get(house, spec, 0b11) == nullptr);
}

TEST_CASE("nav grid: a closed door leaves the larger room only") {
  House plan = two_rooms(1.5F, 2.5F, false);
  add_box(plan, {6, 0.5F, 2}, {1, 1, 1});
  const LoadedHouse house(plan, stretch());
  CHECK(house.grid.num_cells() == 37 * 37);
  for (const std::int32_t room : house.grid.rooms()) CHECK(room == 0);
  const std::vector<std::int32_t> target = {0};
  const GeodesicField field =
      house.grid.field_to_objects(house.house, house.collision, house.robot, target, 2.0F);
  for (const float distance : field.distance) CHECK(distance == -1.0F);
}

TEST_CASE("nav grid: walks end within reach of the box with no wall between") {
  House plan = two_rooms(3.0F, 4.0F);
  add_box(plan, {4.45F, 0.4F, 0.5F}, {0.4F, 0.8F, 0.4F});  // behind the wall, seen from room 0
  const LoadedHouse house(plan, stretch());
  const std::vector<std::int32_t> target = {0};
  const GeodesicField field =
      house.grid.field_to_objects(house.house, house.collision, house.robot, target, 2.0F);
  const auto at = [&](Vec2 point) {
    return static_cast<std::size_t>(house.grid.nearest_cell(point));
  };
  CHECK(field.distance[at({3.5F, 0.5F})] > 2.0F);  // 0.8 m away, but around through the door
  CHECK(field.distance[at({6.4F, 0.5F})] == 0.0F);
  CHECK(field.goal[at({6.4F, 0.5F})] == 0);
  // From (7.5, 0.5) the box's face x = 4.65 is 2.85 m away; the first place within 2 m is (6.6,
  // 0.5).
  CHECK(field.distance[at({7.5F, 0.5F})] == doctest::Approx(0.9).epsilon(1e-3));
  CHECK(field.goal[at({3.5F, 0.5F})] == 0);
}

TEST_CASE("nav grid: a tall cupboard hides what stands behind it") {
  House plan = square_room();
  add_box(plan, {2, 0.1F, 3.7F}, {0.2F, 0.2F, 0.2F});
  add_box(plan, {2, 1, 3.0F}, {0.6F, 2, 0.4F});
  const LoadedHouse house(plan, stretch());
  const std::vector<std::int32_t> target = {0};
  const GeodesicField field =
      house.grid.field_to_objects(house.house, house.collision, house.robot, target, 2.0F);
  CHECK(field.distance[static_cast<std::size_t>(house.grid.nearest_cell({2, 2.3F}))] > 0.0F);
  CHECK(field.distance[static_cast<std::size_t>(house.grid.nearest_cell({0.8F, 3.7F}))] == 0.0F);
}

TEST_CASE("nav grid: what no camera can look up to leads nowhere") {
  for (const float height : {1.3F, 2.4F}) {
    House plan = square_room();
    add_box(plan, {2, height, 3.9F}, {0.3F, 0.3F, 0.05F});
    const LoadedHouse house(plan, stretch());
    const std::vector<std::int32_t> target = {0};
    const GeodesicField field =
        house.grid.field_to_objects(house.house, house.collision, house.robot, target, 2.0F);
    const auto near = static_cast<std::size_t>(house.grid.nearest_cell({2, 2.5F}));
    CHECK(field.distance[near] == (height < 2.0F ? 0.0F : -1.0F));
  }
}

TEST_CASE("nav grid: in a cupboard nothing is seen, on one that is drawn too high it is") {
  for (const float sunk : {0.25F, 0.6F}) {
    House plan = square_room();
    add_box(plan, {2, 0.5F, 3.5F}, {1, 1, 1});
    add_box(plan, {2, 1.05F - sunk, 3.5F}, {0.1F, 0.1F, 0.1F});
    plan.objects[1].parent = 0;
    const LoadedHouse house(plan, stretch());
    const std::vector<std::int32_t> target = {1};
    const GeodesicField field =
        house.grid.field_to_objects(house.house, house.collision, house.robot, target, 2.0F);
    const auto near = static_cast<std::size_t>(house.grid.nearest_cell({2, 2.5F}));
    CHECK(field.distance[near] == (sunk < 0.3F ? 0.0F : -1.0F));
  }
}

TEST_CASE("room_at: convex, concave and no room") {
  House house = two_rooms(1, 2);
  CHECK(room_at(house, {1, 1}) == 0);
  CHECK(room_at(house, {7, 1}) == 1);
  CHECK(room_at(house, {9, 1}) == -1);
  house.rooms[0].polygon = {{0, 0}, {0, 4}, {1, 4}, {1, 1}, {4, 1}, {4, 0}};  // an L
  CHECK(room_at(house, {0.5F, 3}) == 0);
  CHECK(room_at(house, {3, 0.5F}) == 0);
  CHECK(room_at(house, {3, 3}) == -1);
}

TEST_CASE("field cache: one field per key, evicted by use, unchanged when computed again") {
  House plan = square_room();
  for (int i = 0; i < 4; ++i) {
    add_box(plan, {0.5F + 0.8F * static_cast<float>(i), 0.3F, 3.7F}, {0.3F, 0.6F, 0.3F});
  }
  const auto house = std::make_shared<const LoadedHouse>(plan, stretch());
  FieldCache cache(30000);  // two fields of about 1,300 cells of 9 bytes
  EpisodeSpec a{};
  EpisodeSpec b{};
  EpisodeSpec c{};
  a.num_targets = c.num_targets = 1;
  b.num_targets = 2;
  b.targets = {1, 2};
  c.targets = {3};
  const auto first = cache.get(house, a, 0);
  CHECK(cache.get(house, a, 0) == first);
  const auto second = cache.get(house, b, 0);
  CHECK(cache.get(house, a, 0) == first);  // used last, so b goes
  (void)cache.get(house, c, 0);
  CHECK(cache.get(house, a, 0) == first);
  const auto again = cache.get(house, b, 0);
  CHECK(again != second);
  CHECK(again->distance == second->distance);
  CHECK(cache.get(house, EpisodeSpec{}, 0) == nullptr);
}
