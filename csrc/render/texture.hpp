// A texture on a plane as one image sees it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "render/asset_mesh.hpp"
#include "render/simd.hpp"

namespace flare::render {

/// A pixel (x, y) at depth d shows the texel u = u0 + d (ua x + ub y + uc), v alike; nearest of one
/// mip level, which is the plane's: a triangle of a mesh is small.
struct TexturedPlane {
  AssetTexture::Level level;
  float u0 = 0.0F, ua = 0.0F, ub = 0.0F, uc = 0.0F;  // texels of the level
  float v0 = 0.0F, va = 0.0F, vb = 0.0F, vc = 0.0F;
  std::int32_t r = 256, g = 256, b = 256;  // light, 256 is 1
};

/// Texels beyond this are wrapped wrongly, never read out of bounds: planes seen nearly edge-on.
inline constexpr float kMostTexels = 1.0e6F;

inline std::int32_t light_texel(std::uint32_t texel, std::int32_t r, std::int32_t g,
                                std::int32_t b) {
  const auto channel = [texel](unsigned shift, std::int32_t gain) {
    const auto value = static_cast<std::int32_t>((texel >> shift) & 255U);
    return std::min(value * gain >> 8, 255) << shift;
  };
  return channel(0, r) | channel(8, g) | channel(16, b);
}

/// 0x00BBGGRR of the eight pixels from column x of the row whose centre is `row`.
inline I32x8 sample(const TexturedPlane& plane, int x, float row, F32x8 inverse_depth) {
  const F32x8 column = to_float(kLaneIndex + x) + 0.5F;
  const F32x8 depth = 1.0F / inverse_depth;
  const F32x8 u = plane.u0 + depth * (plane.ua * column + (plane.ub * row + plane.uc));
  const F32x8 v = plane.v0 + depth * (plane.va * column + (plane.vb * row + plane.vc));
  const auto bounded = [](F32x8 t) { return min(max(t, splat(-kMostTexels)), splat(kMostTexels)); };
  const AssetTexture::Level& level = plane.level;
  const I32x8 i = floor_to_int(bounded(u)) & static_cast<std::int32_t>(level.width_mask);
  const I32x8 j = floor_to_int(bounded(v)) & static_cast<std::int32_t>(level.height_mask);
  const I32x8 at = (j << static_cast<std::int32_t>(level.width_bits)) + i;
  const std::uint32_t* const t = level.texels;
  const U32x8 texel = {t[at[0]], t[at[1]], t[at[2]], t[at[3]],
                       t[at[4]], t[at[5]], t[at[6]], t[at[7]]};
  const auto channel = [&](int shift, std::int32_t gain) {
    const I32x8 value = reinterpret_cast<I32x8>(texel >> static_cast<unsigned>(shift)) & 255;
    const I32x8 lit = value * gain >> 8;
    return (lit < 255 ? lit : splat(255)) << shift;
  };
  return channel(0, plane.r) | channel(8, plane.g) | channel(16, plane.b);
}

}  // namespace flare::render
