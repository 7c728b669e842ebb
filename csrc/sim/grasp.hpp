// Taking and letting go. A hand takes the nearest object that can be picked up and whose box meets
// the hand sphere; what stood on it falls straight down onto what is below. Let go, an object falls
// straight down, its box turned as it is, until any part of it meets a surface: it neither topples
// nor slides, and so never overlaps what it falls onto.
#pragma once

#include "sim/surroundings.hpp"

namespace flare::sim {

/// Index of the object that the hand would take, -1 if none meets the hand sphere.
std::int32_t graspable_object(const Surroundings& around, const Pose& pose);

/// Takes it. False, and nothing is changed, with a full hand, with nothing in the hand sphere, or
/// when more than kMaxDisplaced objects would be out of their places.
bool pick_up(const LoadedHouse& house, const Pose& pose, Rearrangement& things);

/// Puts an object into the hand where it is, whatever stood on it.
void attach(const LoadedHouse& house, const Pose& pose, std::int32_t object, Rearrangement& things);

/// Lets go of what is held; false with an empty hand.
bool drop(const LoadedHouse& house, const Pose& pose, Rearrangement& things);

}  // namespace flare::sim
