// Colours of floors and walls in a varied episode.
#pragma once

#include <cstdint>

#include "render/scene.hpp"

namespace flare::render {

/// Colour of a surface in an episode: its own for seed 0, else one of a palette keyed by
/// (seed, room, pattern), so that all walls of a room agree.
sim::Color surface_color(const Surface& surface, std::uint64_t material_seed);

}  // namespace flare::render
