// Floors, ceilings and walls of a house as faces, with holes where a way leads through.
#pragma once

#include <vector>

#include "render/scene.hpp"
#include "sim/house.hpp"

namespace flare::render {

/// A rectangle in a wall's own coordinates: s metres from p0 along the wall, y up.
struct WallRect {
  float s0 = 0.0F, s1 = 0.0F;
  float y0 = 0.0F, y1 = 0.0F;
};

/// An opening as one of its walls sees it.
struct WallOpening {
  WallRect rect;
  sim::OpeningKind kind = sim::OpeningKind::kDoor;
  bool passable = false;
};

/// Openings of a wall, also those that only its twin on the other side lists.
std::vector<WallOpening> openings_of(const sim::House& house, std::size_t wall);

/// Horizontal unit normal of a wall, into its room. For walls of no room: out of every room.
Vec2 wall_normal(const sim::House& house, const sim::Wall& wall);

/// Adds the faces of all rooms, and ground and roof, to the scene's rooms.
void build_structure(const sim::House& house, Scene::Impl& scene);

}  // namespace flare::render
