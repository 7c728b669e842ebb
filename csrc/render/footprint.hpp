// Which rooms an object stands in: its box seen from above against their floors.
#pragma once

#include <array>
#include <span>

#include "render/mesh.hpp"

namespace flare::render {

/// The box seen from above, its corners in order, grown by the 3 cm by which it may lean against a
/// room.
std::array<Vec2, 4> footprint(const BoxTransform& box);

/// Do two polygons, the first convex, have a point in common?
bool overlap(const std::array<Vec2, 4>& box, std::span<const Vec2> polygon);

}  // namespace flare::render
