// Proxy bodies by shape family, at several levels of detail.
#pragma once

#include <array>
#include <span>

#include "render/mesh.hpp"
#include "sim/house.hpp"
#include "sim/solids.hpp"

namespace flare::render {

inline constexpr int kNumLevels = 4;
/// Segments of round parts at each level, coarsest first.
inline constexpr std::array<int, kNumLevels> kSegments = {4, 6, 12, 24};

BoxTransform box_transform(const sim::Object& object);

/// The body that fills the object's oriented box. The front of a thing is its own +z.
/// @param contents  what stands on it: surfaces are lowered to it (sim::top_below), so that nothing
///                  is drawn inside of what it stands on
/// @param level 0 coarsest
Mesh build_shape(const sim::Object& object, std::span<const sim::Solid> contents, int level);

}  // namespace flare::render
