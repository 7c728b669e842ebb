// Points and the polygons of rooms.
#pragma once

#include <span>
#include <vector>

#include "sim/house.hpp"

namespace flare::sim {

/// Even-odd rule; a point on an edge may count either way.
bool polygon_contains(std::span<const Vec2> polygon, Vec2 point);

/// Distance in metres from a point to the polygon's nearest edge.
float distance_to_edges(const std::vector<Vec2>& polygon, Vec2 point);

/// Twice the signed area, m^2.
float twice_signed_area(const std::vector<Vec2>& polygon);

/// Centre of the polygon's area; of its corners where it has none.
Vec2 centroid(const std::vector<Vec2>& polygon);

/// Index of the room that holds the point, else of the nearest one within `margin` metres, else -1.
int find_room(const std::vector<Room>& rooms, Vec2 point, float margin);

}  // namespace flare::sim
