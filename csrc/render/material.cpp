#include "render/material.hpp"

#include <array>

#include "core/rng.hpp"

namespace flare::render {
namespace {

using sim::Color;

constexpr std::array<Color, 8> kPlankColors = {{{0.62F, 0.45F, 0.30F},
                                                {0.50F, 0.35F, 0.23F},
                                                {0.72F, 0.57F, 0.40F},
                                                {0.40F, 0.29F, 0.21F},
                                                {0.66F, 0.52F, 0.42F},
                                                {0.56F, 0.50F, 0.44F},
                                                {0.76F, 0.66F, 0.52F},
                                                {0.47F, 0.38F, 0.33F}}};
constexpr std::array<Color, 8> kTileColors = {{{0.78F, 0.78F, 0.76F},
                                               {0.62F, 0.66F, 0.68F},
                                               {0.80F, 0.74F, 0.64F},
                                               {0.55F, 0.56F, 0.58F},
                                               {0.70F, 0.76F, 0.74F},
                                               {0.74F, 0.68F, 0.66F},
                                               {0.66F, 0.62F, 0.54F},
                                               {0.84F, 0.84F, 0.84F}}};
constexpr std::array<Color, 8> kWallColors = {{{0.90F, 0.88F, 0.83F},
                                               {0.80F, 0.86F, 0.90F},
                                               {0.86F, 0.90F, 0.82F},
                                               {0.93F, 0.84F, 0.78F},
                                               {0.84F, 0.82F, 0.88F},
                                               {0.88F, 0.88F, 0.88F},
                                               {0.78F, 0.82F, 0.80F},
                                               {0.92F, 0.90F, 0.74F}}};

}  // namespace

Color surface_color(const Surface& surface, std::uint64_t material_seed) {
  if (material_seed == 0) return surface.color;
  const bool is_wall = surface.pattern == Pattern::kWall;
  const std::uint64_t bits = keyed_bits(material_seed, static_cast<std::uint64_t>(surface.room + 1),
                                        is_wall ? 1U : 0U, 0, 0);
  const std::size_t pick = bits % 8U;
  if (is_wall) return kWallColors[pick];
  return surface.pattern == Pattern::kTiles ? kTileColors[pick] : kPlankColors[pick];
}

}  // namespace flare::render
