// Where the leaves of a hinged door stand.
#pragma once

#include <vector>

#include "sim/house.hpp"

namespace flare::sim {

inline constexpr float kLeafThickness = 0.04F;  // m

/// The leaves of a door of two rooms, opened by `openness` (0 shut, 1 at a right angle) into
/// `opening.room1`. A hole of double width has two, hinged at its ends; another one, hinged where
/// the hole begins (x0). ProcTHOR's houses tell: no furniture stands in leaves that open so and
/// every room can be entered past them; hung the other way round they would cut rooms off, turned
/// into room0 every twelfth would stand in furniture.
/// @pre opening's walls, rooms and hole are set
std::vector<DoorLeaf> open_leaves(const House& house, const Opening& opening, float openness);

}  // namespace flare::sim
