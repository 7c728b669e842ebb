#include "sim/collision.hpp"

#include <doctest/doctest.h>

#include "sim/door_leaf.hpp"
#include "sim/solids.hpp"
#include "tests/sim/house_fixture.hpp"

using namespace flare::sim;
using namespace flare::sim::testing;
using flare::Vec2;

TEST_CASE("collision: the disc is stopped a radius from a wall and outside the house") {
  const CollisionMap map(square_room(), stretch()->body);
  CHECK_FALSE(map.blocked({2, 2}));
  CHECK_FALSE(map.blocked({stretch()->body.radius + 1e-4F, 2}));
  CHECK(map.blocked({stretch()->body.radius - 1e-4F, 2}));
  CHECK(map.blocked({2, 4 - stretch()->body.radius + 1e-4F}));
  CHECK(map.blocked({-1, 2}));
  CHECK(map.blocked({2, 9}));
  CHECK(map.blocked({1, 2}, 1.01F));  // a disc larger than the lookup was built for
  CHECK_FALSE(map.blocked({1, 2}, 0.99F));
}

TEST_CASE("collision: a door opens both sides of a wall, a closed one neither") {
  const CollisionMap open(two_rooms(1.0F, 2.0F), stretch()->body);
  CHECK_FALSE(open.sweep_blocked({3, 1.5F}, {5, 1.5F}));
  CHECK(open.sweep_blocked({3, 3.0F}, {5, 3.0F}));
  CHECK(open.blocked({4, 1.0F + stretch()->body.radius - 1e-3F}));  // the jamb
  CHECK_FALSE(open.blocked({4, 1.0F + stretch()->body.radius + 1e-3F}));
  const CollisionMap closed(two_rooms(1.0F, 2.0F, false), stretch()->body);
  CHECK(closed.sweep_blocked({3, 1.5F}, {5, 1.5F}));
}

TEST_CASE("collision: an open door's leaf is in the way, the gap beside it is not") {
  House house = two_rooms(1.0F, 2.0F);
  house.openings[0].leaves = {{{4, 1.05F}, {4.9F, 1.05F}}};
  const CollisionMap map(house, stretch()->body);
  CHECK_FALSE(map.sweep_blocked({3, 1.5F}, {6, 1.5F}));
  CHECK(map.sweep_blocked({4.5F, 1.5F}, {4.5F, 0.5F}));
  CHECK_FALSE(map.blocked({4.9F + stretch()->body.radius + 1e-3F, 1.05F}));
  CHECK(map.blocked({4.9F + stretch()->body.radius - 1e-3F, 1.05F}));
}

TEST_CASE("solids: an open door's leaf stands in the arm's way, too") {
  House house = two_rooms(1.0F, 2.0F);
  const std::size_t without = SolidMap(house).all().size();
  house.openings[0].leaves = {{{4, 1.05F}, {4.9F, 1.05F}}};
  const SolidMap solids(house);
  REQUIRE(solids.all().size() == without + 1);
  const Solid& leaf = solids.all().back();
  CHECK(leaf.base.centre.x == doctest::Approx(4.45));
  CHECK(leaf.base.half.x == doctest::Approx(0.45));
  CHECK(leaf.y1 == 2.0F);
  CHECK(distance_to(leaf, {4.5F, 1.0F, 1.25F}) == doctest::Approx(0.2 - 0.5 * kLeafThickness));
}

TEST_CASE("collision: a passage without geometry is no obstacle") {
  House house = two_rooms(1.0F, 2.0F, false);
  house.walls[2].empty = house.walls[4].empty = true;
  CHECK_FALSE(CollisionMap(house, stretch()->body).sweep_blocked({3, 3}, {5, 3}));
}

TEST_CASE("collision: only what reaches into the body's height band is an obstacle") {
  const auto blocked_by = [](flare::Vec3 center, flare::Vec3 size, bool on_wall = false) {
    House house = square_room();
    add_box(house, center, size);
    house.objects[0].on_wall = on_wall;
    return CollisionMap(house, stretch()->body).blocked({2, 2});
  };
  CHECK(blocked_by({2, 0.5F, 2}, {0.4F, 1, 0.4F}));
  CHECK(blocked_by({2, 0.05F, 2}, {0.1F, 0.1F, 0.1F}));     // an apple on the floor
  CHECK_FALSE(blocked_by({2, 0.01F, 2}, {2, 0.02F, 2}));    // a rug
  CHECK_FALSE(blocked_by({2, 1.8F, 2}, {1, 0.6F, 1}));      // a lamp above the head
  CHECK_FALSE(blocked_by({2, 1, 2}, {1, 1, 0.04F}, true));  // a painting
  CHECK(blocked_by({2, 1, 2}, {1, 1, 0.3F}, true));         // a cupboard on the wall
}

TEST_CASE("collision: a footprint turns with its object, clockwise seen from above") {
  House house = square_room();
  add_box(house, {2, 0.5F, 2}, {2, 1, 0.1F}, 45);  // its x axis looks along (1, -1)
  const CollisionMap map(house, stretch()->body);
  CHECK(map.blocked({2.6F, 1.4F}));
  CHECK_FALSE(map.blocked({2.6F, 2.6F}));
}

TEST_CASE("collision: what stands on an obstacle adds nothing, what overhangs it does") {
  House house = square_room();
  const int table = add_box(house, {2, 0.4F, 2}, {1, 0.8F, 1});
  const int cup = add_box(house, {2, 0.85F, 2}, {0.1F, 0.1F, 0.1F});
  const int board = add_box(house, {2.4F, 0.82F, 2}, {1, 0.04F, 0.2F});
  house.objects[static_cast<std::size_t>(cup)].parent = table;
  house.objects[static_cast<std::size_t>(board)].parent = table;
  const CollisionMap map(house, stretch()->body);
  CHECK(map.blocked({3.0F, 2}));
  CHECK_FALSE(map.blocked({1.0F, 2}));
}

TEST_CASE("collision: no step is long enough to jump a wall") {
  House house = square_room();
  add_box(house, {2, 0.5F, 2}, {0.01F, 1, 3.9F});
  CHECK(CollisionMap(house, stretch()->body).sweep_blocked({1, 2}, {3, 2}));
}
