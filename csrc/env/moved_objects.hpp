// What is not where its house has it, as bodies to draw.
#pragma once

#include <array>
#include <span>

#include "render/rasterizer.hpp"
#include "sim/surroundings.hpp"

namespace flare::env {

using MovedObjects = std::array<render::MovedObject, sim::kMaxDisplaced + 1>;

/// Those that were put down elsewhere, then the one in the hand. Returns the entries written.
std::span<const render::MovedObject> moved_objects(const sim::Surroundings& around,
                                                   const sim::Pose& pose, MovedObjects& buffer);

}  // namespace flare::env
