#include "sim/nav_grid.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

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
  const auto first = cache.get(house, a);
  CHECK(cache.get(house, a) == first);
  const auto second = cache.get(house, b);
  CHECK(cache.get(house, a) == first);  // used last, so b goes
  (void)cache.get(house, c);
  CHECK(cache.get(house, a) == first);
  const auto again = cache.get(house, b);
  CHECK(again != second);
  CHECK(again[0]->distance == second[0]->distance);
  CHECK(cache.get(house, EpisodeSpec{}).empty());
}
