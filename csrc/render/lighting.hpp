// The light of an episode: ambient, two directions and a tint.
#pragma once

#include <cstdint>

#include "core/geometry.hpp"
#include "sim/house.hpp"

namespace flare::render {

/// How an object's colours are shifted in an episode: lighter or darker and paler, never in hue.
struct Finish {
  float gain = 1.0F;
  float grey = 0.0F;  // weight of the colour's own grey

  [[nodiscard]] sim::Color apply(sim::Color color) const;
};

/// The object's own colours for seed 0; else a gain in [0.8, 1.15] and up to a quarter of grey.
Finish draw_finish(std::uint64_t texture_seed, std::int32_t object);

/// Light without shadows: the brightness of a surface depends on its normal alone.
struct Lighting {
  Vec3 key = {0.41F, 0.78F, -0.47F};  // unit vectors to the lights
  Vec3 fill = {-0.83F, 0.34F, 0.44F};
  float ambient = 0.70F;
  float key_gain = 0.26F, fill_gain = 0.13F;
  Vec3 up = {0.0F, 1.0F, 0.0F};
  float sky_gain = 0.05F;  // floors are brighter than ceilings
  sim::Color tint = {1.0F, 1.0F, 1.0F};

  [[nodiscard]] float brightness(Vec3 normal) const;
  /// The same light seen from a frame with these unit axes.
  [[nodiscard]] Lighting in_frame(Vec3 axis_x, Vec3 axis_y, Vec3 axis_z) const;
  /// 0x00BBGGRR of a flat surface.
  [[nodiscard]] std::uint32_t shade(sim::Color color, Vec3 normal) const;
};

/// The fixed light of all houses for seed 0, with brightness in [0.65, 1]; else brighter or
/// darker by up to a quarter, warm or cold by up to 8 %, from directions drawn anew.
Lighting make_lighting(std::uint64_t light_seed);

}  // namespace flare::render
