// Brightness of floors and walls by place, around 1. Detail finer than `footprint`, the metres a
// pixel spans, fades into its mean, so that distance does not flicker.
#pragma once

#include <array>
#include <cstdint>

#include "render/scene.hpp"
#include "render/simd.hpp"

namespace flare::render {

/// What all pixels of a run show of a pattern's details.
enum class Detail : std::uint8_t { kAll, kSome, kNone };

/// Footprints, as parts of a detail's size, up to which it is whole and from which it is gone.
inline constexpr float kWholeFrom = 0.2F;
inline constexpr float kGoneFrom = 0.5F;

namespace pattern {

/// Random number in [0, 1] of an integer, the same for the same integer: neighbours differ (Knuth
/// 1973, section 6.4, multiplicative hashing by the golden ratio).
inline F32x8 noise(I32x8 key) {
  const auto h = (reinterpret_cast<U32x8>(key) * 0x9E3779B1U) >> 24U;
  return to_float(reinterpret_cast<I32x8>(h)) * (1.0F / 255.0F);
}

/// How much of a detail of this size (m) survives.
template <Detail kDetail>
inline F32x8 keep(F32x8 footprint, float size) {
  if constexpr (kDetail == Detail::kAll) return splat(1.0F);
  if constexpr (kDetail == Detail::kNone) return splat(0.0F);
  const F32x8 w = (kGoneFrom - footprint * (1.0F / size)) * (1.0F / (kGoneFrom - kWholeFrom));
  return min(max(w, splat(0.0F)), splat(1.0F));
}

inline F32x8 sign_of_parity(I32x8 cell) { return to_float((cell & 1) * 2 - 1); }

template <Detail kDetail>
inline F32x8 planks(F32x8 u, F32x8 v, F32x8 footprint) {
  constexpr float kWidth = 0.16F;
  constexpr float kLength = 1.3F;
  const F32x8 across = v * (1.0F / kWidth);
  const I32x8 row = floor_to_int(across);
  const F32x8 along = u * (1.0F / kLength) + noise(row) * 7.0F;
  const I32x8 board = floor_to_int(along) + row * 131;
  const F32x8 seam = (across - to_float(row)) < 0.08F ? splat(-0.16F) : splat(0.014F);
  return 1.0F + (noise(board) - 0.5F) * 0.20F * keep<kDetail>(footprint, kWidth) +
         seam * keep<kDetail>(footprint, 0.06F);
}

template <Detail kDetail>
inline F32x8 tiles(F32x8 u, F32x8 v, F32x8 footprint) {
  constexpr float kSide = 0.35F;
  const F32x8 s = u * (1.0F / kSide);
  const F32x8 t = v * (1.0F / kSide);
  const I32x8 i = floor_to_int(s);
  const I32x8 j = floor_to_int(t);
  const I32x8 on_joint = ((s - to_float(i)) < 0.06F) | ((t - to_float(j)) < 0.06F);
  const F32x8 joint = on_joint ? splat(-0.14F) : splat(0.018F);
  return 1.0F +
         (sign_of_parity(i + j) * 0.06F + (noise(i * 57 + j) - 0.5F) * 0.05F) *
             keep<kDetail>(footprint, kSide) +
         joint * keep<kDetail>(footprint, 0.06F);
}

template <Detail kDetail>
inline F32x8 wall(F32x8 u, F32x8 height, F32x8 footprint) {
  constexpr float kStripe = 0.30F;
  const I32x8 stripe = floor_to_int(u * (1.0F / kStripe));
  const F32x8 shade =
      0.93F + height * 0.03F + sign_of_parity(stripe) * 0.018F * keep<kDetail>(footprint, kStripe);
  return height < 0.10F ? splat(0.66F) : shade;  // a dark baseboard draws the room's outline
}

}  // namespace pattern

/// Sizes (m) of the smallest and the largest detail of a pattern.
template <Pattern kPattern>
inline constexpr std::array<float, 2> kDetailSizes =
    kPattern == Pattern::kWall    ? std::array<float, 2>{0.30F, 0.30F}
    : kPattern == Pattern::kTiles ? std::array<float, 2>{0.06F, 0.35F}
                                  : std::array<float, 2>{0.06F, 0.16F};

/// What is left of the pattern where footprints lie between two; a hundredth of slack, so that
/// rounding never makes a difference.
template <Pattern kPattern>
inline Detail detail_of(float least_footprint, float largest_footprint) {
  constexpr float kSlack = 1.01F;
  const std::array<float, 2> sizes = kDetailSizes<kPattern>;
  if (largest_footprint * kSlack < kWholeFrom * sizes[0]) return Detail::kAll;
  if (least_footprint > kGoneFrom * sizes[1] * kSlack) return Detail::kNone;
  return Detail::kSome;
}

/// @param u, v  metres along the two axes of the surface
template <Pattern kPattern, Detail kDetail>
inline F32x8 pattern_brightness(F32x8 u, F32x8 v, F32x8 footprint) {
  if constexpr (kPattern == Pattern::kWall) return pattern::wall<kDetail>(u, v, footprint);
  if constexpr (kDetail == Detail::kNone) return splat(1.0F);
  if constexpr (kPattern == Pattern::kPlanks) return pattern::planks<kDetail>(u, v, footprint);
  return pattern::tiles<kDetail>(u, v, footprint);
}

}  // namespace flare::render
