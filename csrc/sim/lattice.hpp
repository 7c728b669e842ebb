// A bounded search over (x, z, yaw) for the few actions that get the body out of a tight spot, or
// into the posture that a grasp begins with.
#pragma once

#include <functional>
#include <vector>

#include "sim/surroundings.hpp"

namespace flare::sim {

/// A short sequence of base actions from `start` to any pose whose field distance is below `below`
/// (A*, first without the small turns, at most 20,000 poses). Empty if none is found.
std::vector<Action> way_below(const Surroundings& around, const GeodesicField& field,
                              const Pose& start, float below);

/// The same to any other pose that is accepted (A* along the field, with the small turns, at most
/// 4,000 poses).
std::vector<Action> way_to(const Surroundings& around, const GeodesicField& field,
                           const Pose& start, const std::function<bool(const Pose&)>& accepts);

}  // namespace flare::sim
