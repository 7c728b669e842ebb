// Patterns of floors and walls, and their colours in a varied episode.
#pragma once

#include <cstdint>

#include "render/scene.hpp"
#include "render/simd.hpp"

namespace flare::render {

/// Colour of a surface in an episode: its own for seed 0, else one of a palette keyed by
/// (seed, room, pattern), so that all walls of a room agree.
sim::Color surface_color(const Surface& surface, std::uint64_t material_seed);

/// Brightness of the pattern at (u, v) metres in the plane, around 1. Detail finer than
/// `footprint`, the metres a pixel spans, fades into its mean, so that distance does not flicker.
F32x8 pattern_brightness(Pattern pattern, F32x8 u, F32x8 v, F32x8 footprint);

}  // namespace flare::render
