#include "sim/polygon.hpp"

#include <algorithm>
#include <limits>

namespace flare::sim {

bool polygon_contains(std::span<const Vec2> polygon, Vec2 point) {
  bool inside = false;
  for (std::size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    const Vec2 a = polygon[i];
    const Vec2 b = polygon[j];
    if ((a.z > point.z) == (b.z > point.z)) continue;
    if (point.x < a.x + (b.x - a.x) * (point.z - a.z) / (b.z - a.z)) inside = !inside;
  }
  return inside;
}

float distance_to_edges(const std::vector<Vec2>& polygon, Vec2 point) {
  float nearest = std::numeric_limits<float>::max();
  for (std::size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    const Vec2 edge = polygon[i] - polygon[j];
    const float squared = dot(edge, edge);
    const float t =
        squared > 0.0F ? std::clamp(dot(point - polygon[j], edge) / squared, 0.0F, 1.0F) : 0.0F;
    nearest = std::min(nearest, length(point - (polygon[j] + edge * t)));
  }
  return nearest;
}

float twice_signed_area(const std::vector<Vec2>& polygon) {
  float area = 0.0F;
  for (std::size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    area += polygon[j].x * polygon[i].z - polygon[i].x * polygon[j].z;
  }
  return area;
}

Vec2 centroid(const std::vector<Vec2>& polygon) {
  Vec2 weighted;
  Vec2 corners;
  for (std::size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    // About the first corner: houses far from the origin lose no digits.
    const Vec2 a = polygon[j] - polygon[0];
    const Vec2 b = polygon[i] - polygon[0];
    weighted = weighted + (a + b) * (a.x * b.z - b.x * a.z);
    corners = corners + b;
  }
  const float area = twice_signed_area(polygon);
  if (area == 0.0F) return polygon[0] + corners * (1.0F / static_cast<float>(polygon.size()));
  return polygon[0] + weighted * (1.0F / (3.0F * area));
}

int find_room(const std::vector<Room>& rooms, Vec2 point, float margin) {
  int nearest = -1;
  float distance = margin;
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    if (polygon_contains(rooms[i].polygon, point)) return static_cast<int>(i);
    const float d = distance_to_edges(rooms[i].polygon, point);
    if (d < distance) {
      distance = d;
      nearest = static_cast<int>(i);
    }
  }
  return nearest;
}

}  // namespace flare::sim
