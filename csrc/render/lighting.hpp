// The light of an episode: ambient, two directions and a tint.
#pragma once

#include <cstdint>

#include "core/geometry.hpp"
#include "sim/house.hpp"

namespace flare::render {

/// Light without shadows: the brightness of a surface depends on its normal alone.
struct Lighting {
  Vec3 key = {0.41F, 0.78F, -0.47F};  // unit vectors to the lights
  Vec3 fill = {-0.83F, 0.34F, 0.44F};
  float ambient = 0.70F;
  float key_gain = 0.26F, fill_gain = 0.13F;
  float sky_gain = 0.05F;  // times normal.y: floors are brighter than ceilings
  sim::Color tint = {1.0F, 1.0F, 1.0F};

  [[nodiscard]] float brightness(Vec3 normal) const;
  /// 0x00BBGGRR of a flat surface.
  [[nodiscard]] std::uint32_t shade(sim::Color color, Vec3 normal) const;
};

/// The fixed light of all houses for seed 0, with brightness in [0.65, 1]; else brighter or
/// darker by up to a quarter, warm or cold by up to 8 %, from directions drawn anew.
Lighting make_lighting(std::uint64_t light_seed);

}  // namespace flare::render
