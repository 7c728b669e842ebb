// Objects of a house document: kind, box and room of each, children flattened behind their parent.
#pragma once

#include "sim/asset_library.hpp"
#include "sim/house.hpp"
#include "sim/json_node.hpp"

namespace flare::sim {

/// Appends every object below `node` (the array "objects") to house.objects. house.rooms must be
/// complete: each object's room is the one whose polygon holds its centre.
void read_objects(const JsonNode& node, const AssetLibrary& library, House& house);

/// The kind of an object as far as its names tell: "ObjaApple|surface|3|12" and "Apple_7" are an
/// Apple, "sectional_sofa-0 (living room)" is a SectionalSofa.
std::string type_from_names(std::string_view object_id, std::string_view asset_id);

}  // namespace flare::sim
