// From where an arm can take an object: the places and postures that a walk to grasp ends at.
#pragma once

#include <optional>
#include <span>

#include "sim/surroundings.hpp"

namespace flare::sim {

/// A pose with the body's disc at `disc` whose hand sphere meets the object, with body and arm
/// free: heading a multiple of a small turn, the wrist straight. The arm gets there by extending at
/// that lift from its stowed place. Empty if there is none.
std::optional<Pose> reaching_pose(const Surroundings& around, Vec2 disc, std::int32_t object);

/// Distances to places with a reaching_pose for any of the objects at home.
GeodesicField field_to_reach(const LoadedHouse& house, std::span<const std::int32_t> objects);

}  // namespace flare::sim
