// Floors: polygons without holes, possibly concave, into triangles.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "core/geometry.hpp"

namespace flare::render {

/// Ear clipping. Corners in either direction; collinear and repeated corners are allowed.
/// @returns triples of indices into `polygon`, covering it without overlap
std::vector<std::array<std::size_t, 3>> triangulate(std::span<const Vec2> polygon);

}  // namespace flare::render
