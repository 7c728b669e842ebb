#include "sim/door_leaf.hpp"

#include "sim/polygon.hpp"

namespace flare::sim {
namespace {

constexpr float kDoubleWidth = 1.5F;  // m; single doors are about 1.0 wide, double ones 1.9
constexpr float kJamb = 0.05F;        // m of the hole that the frame takes at each side
constexpr float kProbe = 0.1F;        // m beside a wall that lie in its room

/// Unit vector across a wall into room1: to the left of wall0 as ProcTHOR lists its points, unless
/// the rooms' floors tell otherwise.
Vec2 into_room1(const House& house, const Opening& opening, Vec2 middle, Vec2 along) {
  const Vec2 left = {-along.z, along.x};
  const auto& floor = house.rooms[static_cast<std::size_t>(opening.room1)].polygon;
  const bool is_right = !polygon_contains(floor, middle + left * kProbe) &&
                        polygon_contains(floor, middle - left * kProbe);
  return is_right ? left * -1.0F : left;
}

}  // namespace

std::vector<DoorLeaf> open_leaves(const House& house, const Opening& opening, float openness) {
  const Wall& wall = house.walls[static_cast<std::size_t>(opening.wall0)];
  const Vec2 along = (wall.p1 - wall.p0) * (1.0F / length(wall.p1 - wall.p0));
  const Vec2 start = wall.p0 + along * (opening.x0 + kJamb);
  const Vec2 end = wall.p0 + along * (opening.x1 - kJamb);
  const Vec2 across = into_room1(house, opening, (start + end) * 0.5F, along);
  const Vec2 turn = heading(90.0F * openness);  // x: sine, z: cosine
  const float clear = opening.x1 - opening.x0 - 2.0F * kJamb;
  if (clear <= 0.0F) return {};
  const auto leaf = [&](Vec2 hinge, Vec2 shut, float width) {
    return DoorLeaf{hinge, hinge + (shut * turn.z + across * turn.x) * width};
  };
  if (opening.x1 - opening.x0 < kDoubleWidth) return {leaf(start, along, clear)};
  return {leaf(start, along, 0.5F * clear), leaf(end, along * -1.0F, 0.5F * clear)};
}

}  // namespace flare::sim
