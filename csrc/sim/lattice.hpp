// A bounded search over (x, z, yaw) for the few actions that get the body out of a tight spot.
#pragma once

#include <vector>

#include "sim/surroundings.hpp"

namespace flare::sim {

/// A short sequence of base actions from `start` to any pose whose field distance is below `below`
/// (A*, first without the small turns, at most 20,000 poses). Empty if none is found.
std::vector<Action> way_below(const Surroundings& around, const GeodesicField& field,
                              const Pose& start, float below);

}  // namespace flare::sim
