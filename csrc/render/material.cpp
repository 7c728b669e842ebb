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

/// Random number in [0, 1] of an integer, the same for the same integer.
F32x8 noise(I32x8 key) {
  auto h = reinterpret_cast<U32x8>(key) * 0x9E3779B1U;
  h = (h ^ (h >> 15U)) * 0x85EBCA77U;
  h = (h ^ (h >> 13U)) & 255U;
  return to_float(reinterpret_cast<I32x8>(h)) * (1.0F / 255.0F);
}

/// How much of a detail of this size (m) survives: all above five pixels, none below two.
F32x8 keep(F32x8 footprint, float size) {
  const F32x8 w = (0.5F - footprint * (1.0F / size)) * (1.0F / 0.3F);
  return min(max(w, splat(0.0F)), splat(1.0F));
}

F32x8 sign_of_parity(I32x8 cell) { return to_float((cell & 1) * 2 - 1); }

F32x8 planks(F32x8 u, F32x8 v, F32x8 footprint) {
  constexpr float kWidth = 0.16F;
  constexpr float kLength = 1.3F;
  const F32x8 across = v * (1.0F / kWidth);
  const I32x8 row = floor_to_int(across);
  const F32x8 along = u * (1.0F / kLength) + noise(row) * 7.0F;
  const I32x8 board = floor_to_int(along) + row * 131;
  const F32x8 seam = (across - to_float(row)) < 0.08F ? splat(-0.16F) : splat(0.014F);
  return 1.0F + (noise(board) - 0.5F) * 0.20F * keep(footprint, kWidth) +
         seam * keep(footprint, 0.06F);
}

F32x8 tiles(F32x8 u, F32x8 v, F32x8 footprint) {
  constexpr float kSide = 0.35F;
  const F32x8 s = u * (1.0F / kSide);
  const F32x8 t = v * (1.0F / kSide);
  const I32x8 i = floor_to_int(s);
  const I32x8 j = floor_to_int(t);
  const I32x8 on_joint = ((s - to_float(i)) < 0.06F) | ((t - to_float(j)) < 0.06F);
  const F32x8 joint = on_joint ? splat(-0.14F) : splat(0.018F);
  return 1.0F +
         (sign_of_parity(i + j) * 0.06F + (noise(i * 57 + j) - 0.5F) * 0.05F) *
             keep(footprint, kSide) +
         joint * keep(footprint, 0.06F);
}

F32x8 wall(F32x8 u, F32x8 height, F32x8 footprint) {
  constexpr float kStripe = 0.30F;
  const I32x8 stripe = floor_to_int(u * (1.0F / kStripe));
  const F32x8 shade =
      0.90F + height * 0.045F + sign_of_parity(stripe) * 0.018F * keep(footprint, kStripe);
  return height < 0.10F ? splat(0.62F) : shade;  // a dark baseboard draws the room's outline
}

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

F32x8 pattern_brightness(Pattern pattern, F32x8 u, F32x8 v, F32x8 footprint) {
  switch (pattern) {
    case Pattern::kPlanks:
      return planks(u, v, footprint);
    case Pattern::kTiles:
      return tiles(u, v, footprint);
    case Pattern::kWall:
      return wall(u, v, footprint);
  }
  return splat(1.0F);
}

}  // namespace flare::render
