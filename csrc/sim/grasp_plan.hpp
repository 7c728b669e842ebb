// The arm's actions that end with a target in the hand, found by trying them out.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "sim/surroundings.hpp"

namespace flare::sim {

/// Does the hand take one of the targets if it closes now?
bool takes_target(const Surroundings& around, const Pose& pose,
                  std::span<const std::int32_t> targets);

/// How well the hand has to be placed for a grasp: just so, or above or inside the target's box,
/// with room for an error of the hand sphere's radius to each side.
enum class Grip { kAny, kSure };

/// Actions of lift and extension, then pickup, that take one of the targets from where the base
/// stands; each is known to succeed. The wrist stays as it is. Empty if there are none.
/// @pre the hand is empty
std::vector<Action> grasp_actions(const Surroundings& around, const Pose& pose,
                                  std::span<const std::int32_t> targets, Grip grip);

}  // namespace flare::sim
