// The experts whose actions imitation learns from, one for each kind of goal. Pure functions of the
// world's state (its plan included) and, to see, of what the cameras show.
#pragma once

#include <cstdint>

#include "sim/world.hpp"

namespace flare::sim {

/// Word of the key of everything the experts draw.
inline constexpr std::uint64_t kExpertDraws = 3;

// The next action of an episode with that goal, done when there is no way on. Each writes nothing
// but state.plan. @param field  World::field()

/// Walks to where a target can be seen and turns to it. @param pixels  of the navigation camera
Action expert_to_see(const LoadedHouse& house, const GeodesicField& field, WorldState& state,
                     std::span<const std::int32_t> pixels);
/// Walks to where the arm can take a target, and takes it.
Action expert_to_hold(const LoadedHouse& house, const GeodesicField& field, WorldState& state);
/// Walks into a goal room.
Action expert_to_enter_room(const LoadedHouse& house, const GeodesicField& field,
                            WorldState& state);
/// Walks through all rooms, the nearest unseen one first, and reports each.
/// @param field  nullptr when no room is left that can be walked to
Action expert_to_visit_rooms(const LoadedHouse& house, const GeodesicField* field,
                             WorldState& state);

}  // namespace flare::sim
