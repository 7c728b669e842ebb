// Values that a house document writes the same way in many places.
#pragma once

#include "sim/house.hpp"
#include "sim/json_node.hpp"

namespace flare::sim {

inline constexpr double kFarthest = 1000.0;  // m; a coordinate beyond is a mistake of unit

/// {x, y, z} in metres; a missing y counts as 0.
Vec3 read_position(const JsonNode& node);

/// {x, y, z} in degrees.
Vec3 read_rotation(const JsonNode& node);

/// Colour of a `material`: a name (schema 0.0.1, colour beside it) or {name, color} (1.0.0).
/// @param owner  the object that holds `material_key`
Color read_material(const JsonNode& owner, const char* material_key);

}  // namespace flare::sim
