#include "render/shade.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "render/material.hpp"

namespace flare::render {
namespace {

constexpr std::uint32_t kSky = 0xE6D2BE;  // 0xBBGGRR

// A channel is (brightness * colour + half) >> kChannelBits in integers: the same bits whether
// eight pixels share a plane and are painted together or not.
constexpr int kChannelBits = 15;
constexpr float kBrightnessOne = 4096.0F;  // brightness is below 8
constexpr float kColorOne = 8.0F;          // colours are below 4096

/// 0x00BBGGRR in eight lanes to the 24 bytes in front.
inline U8x32 pack_rgb(I32x8 colors) {
  const auto bytes = reinterpret_cast<U8x32>(colors);
  return __builtin_shufflevector(bytes, bytes, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18,
                                 20, 21, 22, 24, 25, 26, 28, 29, 30, 0, 0, 0, 0, 0, 0, 0, 0);
}

inline void store_rgb(I32x8 colors, std::uint8_t* target) {
  const U8x32 packed = pack_rgb(colors);
  std::memcpy(target, &packed, 3U * kLanes);
}

/// 0x00BBGGRR of one colour at eight brightnesses.
inline I32x8 light_lanes(I32x8 brightness, const std::array<std::int16_t, 3>& color) {
  const auto channel = [&](std::size_t c) {
    const I32x8 value =
        (brightness * std::int32_t{color[c]} + (1 << (kChannelBits - 1))) >> kChannelBits;
    return value < 255 ? value : splat(255);
  };
  return channel(0) | channel(1) << 8 | channel(2) << 16;
}

/// The 24 bytes of one colour at eight brightnesses, straight from 16-bit products.
class RunPainter {
 public:
  explicit RunPainter(const std::array<std::int16_t, 3>& color) : color_(color) {
#ifdef __AVX2__
    const auto [r, g, b] = color;
    low_ = _mm256_setr_epi16(r, g, b, r, g, b, r, g, b, r, g, b, r, g, b, r);
    high_ = _mm_setr_epi16(g, b, r, g, b, r, g, b);
#endif
  }

  void paint(I32x8 brightness, std::uint8_t* rgb) const {
#ifdef __AVX2__
    const auto lanes = reinterpret_cast<__m256i>(brightness);
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    const __m256i twice = _mm256_broadcastsi128_si256(words);
    // Word i of the 24 is the brightness of pixel i / 3.
    const __m256i first = _mm256_shuffle_epi8(
        twice, _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6,
                                7, 8, 9, 8, 9, 8, 9, 10, 11));
    const __m128i last = _mm_shuffle_epi8(
        words, _mm_setr_epi8(10, 11, 10, 11, 12, 13, 12, 13, 12, 13, 14, 15, 14, 15, 14, 15));
    const __m256i a = _mm256_mulhrs_epi16(first, low_);
    const __m128i b = _mm_mulhrs_epi16(last, high_);
    const __m128i packed =
        _mm_packus_epi16(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    std::memcpy(rgb, &packed, 16);
    const __m128i rest = _mm_packus_epi16(b, b);
    std::memcpy(rgb + 16, &rest, 8);
#else
    store_rgb(light_lanes(brightness, color_), rgb);
#endif
  }

 private:
  std::array<std::int16_t, 3> color_;
#ifdef __AVX2__
  __m256i low_;
  __m128i high_;
#endif
};

}  // namespace

Shader::Paint Shader::make_paint(const Surface& surface, const View& view, const Lighting& lighting,
                                 std::uint64_t material_seed) {
  Paint paint;
  paint.pattern = surface.pattern;
  const float per_pixel = 1.0F / view.focal;
  const auto project = [&](Vec3 axis, float& at, float& a, float& b, float& c) {
    at = dot(axis, view.position);
    a = dot(axis, view.right) * per_pixel;
    b = -dot(axis, view.up) * per_pixel;
    c = dot(axis, view.ahead) - a * view.cx - b * view.cy;
  };
  project(surface.axis_u, paint.u0, paint.ua, paint.ub, paint.uc);
  project(surface.axis_v, paint.v0, paint.va, paint.vb, paint.vc);
  // A pixel spans depth / focal metres across the ray, and depth / height times that along a plane
  // seen from `height` above it.
  const float height = std::abs(dot(surface.normal, view.position) - surface.offset);
  paint.footprint = per_pixel / std::max(height, 0.01F);
  const sim::Color color = surface_color(surface, material_seed);
  const float brightness = 255.0F * lighting.brightness(surface.normal);
  const auto channel = [&](float value, float tint) {
    return static_cast<std::int16_t>(std::min(value * brightness * tint, 1020.0F) * kColorOne);
  };
  paint.color = {channel(color.r, lighting.tint.r), channel(color.g, lighting.tint.g),
                 channel(color.b, lighting.tint.b)};
  return paint;
}

void Shader::begin(const Scene::Impl& scene, const View& view, const Lighting& lighting,
                   std::uint64_t material_seed, const GeometryPass& geometry) {
  const std::vector<Primitive>& primitives = geometry.primitives();
  primitives_ = primitives;
  textured_ = geometry.textured();
  num_surfaces_ = scene.surfaces.size();
  colors_.resize(primitives.size());
  paints_.resize(std::max(paints_.size(), scene.surfaces.size()));
  made_.assign(paints_.size(), 0);
  for (std::size_t i = 0; i < primitives.size(); ++i) {
    const Primitive& primitive = primitives[i];
    colors_[i] = static_cast<std::int32_t>(i == Canvas::kNothing ? kSky : primitive.color);
    if (primitive.paint < -1) {
      colors_[i] = ~(static_cast<std::int32_t>(num_surfaces_) - 2 - primitive.paint);
    }
    if (primitive.paint < 0) continue;
    const auto surface = static_cast<std::size_t>(primitive.paint);
    colors_[i] = ~primitive.paint;
    if (made_[surface] != 0) continue;
    made_[surface] = 1;
    paints_[surface] = make_paint(scene.surfaces[surface], view, lighting, material_seed);
  }
}

template <Pattern kPattern, Detail kDetail>
inline I32x8 Shader::brightness_lanes(const Paint& paint, int x, float row, F32x8 inverse_depth) {
  const F32x8 column = to_float(kLaneIndex + x) + 0.5F;
  const F32x8 depth = 1.0F / inverse_depth;
  const F32x8 u = paint.u0 + depth * (paint.ua * column + (paint.ub * row + paint.uc));
  const F32x8 v = paint.v0 + depth * (paint.va * column + (paint.vb * row + paint.vc));
  const F32x8 brightness =
      pattern_brightness<kPattern, kDetail>(u, v, depth * depth * paint.footprint);
  return to_int(brightness * kBrightnessOne);
}

I32x8 Shader::paint_lanes(const Paint& paint, int x, float row, F32x8 inverse_depth) {
  constexpr Detail kSome = Detail::kSome;
  const auto lit = [&](I32x8 brightness) { return light_lanes(brightness, paint.color); };
  switch (paint.pattern) {
    case Pattern::kPlanks:
      return lit(brightness_lanes<Pattern::kPlanks, kSome>(paint, x, row, inverse_depth));
    case Pattern::kTiles:
      return lit(brightness_lanes<Pattern::kTiles, kSome>(paint, x, row, inverse_depth));
    case Pattern::kWall:
      break;
  }
  return lit(brightness_lanes<Pattern::kWall, kSome>(paint, x, row, inverse_depth));
}

template <Pattern kPattern, Detail kDetail>
void Shader::paint_detailed_run(const Paint& paint_in, const float* inverse_depth, int x0, int x1,
                                float row, std::uint8_t* rgb) {
  const Paint paint = paint_in;  // a copy, which writing the image cannot change
  const RunPainter painter(paint.color);
  for (int x = x0; x < x1; x += kLanes) {
    painter.paint(
        brightness_lanes<kPattern, kDetail>(paint, x, row, load<F32x8>(inverse_depth + x)),
        rgb + 3 * static_cast<std::ptrdiff_t>(x));
  }
}

/// Depth runs one way along a row of a plane, so the ends of a run bound what it shows of details.
template <Pattern kPattern>
void Shader::paint_run(const Paint& paint, const float* inverse_depth, int x0, int x1, float row,
                       std::uint8_t* rgb) {
  const float a = 1.0F / inverse_depth[x0];
  const float b = 1.0F / inverse_depth[x1 - 1];
  const float least = std::min(a, b) * std::min(a, b) * paint.footprint;
  const float largest = std::max(a, b) * std::max(a, b) * paint.footprint;
  switch (detail_of<kPattern>(least, largest)) {
    case Detail::kAll:
      return paint_detailed_run<kPattern, Detail::kAll>(paint, inverse_depth, x0, x1, row, rgb);
    case Detail::kSome:
      return paint_detailed_run<kPattern, Detail::kSome>(paint, inverse_depth, x0, x1, row, rgb);
    case Detail::kNone:
      return paint_detailed_run<kPattern, Detail::kNone>(paint, inverse_depth, x0, x1, row, rgb);
  }
}

void Shader::write_run(const Canvas& canvas, int y, int x0, int x1, std::uint8_t* rgb) const {
  const std::int32_t code = colors_[canvas.primitives(y)[x0]];
  if (code >= 0) {
    const U8x32 block = pack_rgb(splat(code));
    for (int x = x0; x < x1; x += kLanes) {
      std::memcpy(rgb + 3 * static_cast<std::ptrdiff_t>(x), &block, 3U * kLanes);
    }
    return;
  }
  const auto index = static_cast<std::size_t>(~code);
  const float row = static_cast<float>(y) + 0.5F;
  const float* const depth = canvas.inverse_depth(y);
  if (index >= num_surfaces_) {
    const TexturedPlane plane = textured_[index - num_surfaces_];
    for (int x = x0; x < x1; x += kLanes) {
      store_rgb(sample(plane, x, row, load<F32x8>(depth + x)),
                rgb + 3 * static_cast<std::ptrdiff_t>(x));
    }
    return;
  }
  const Paint& paint = paints_[index];
  switch (paint.pattern) {
    case Pattern::kPlanks:
      return paint_run<Pattern::kPlanks>(paint, depth, x0, x1, row, rgb);
    case Pattern::kTiles:
      return paint_run<Pattern::kTiles>(paint, depth, x0, x1, row, rgb);
    case Pattern::kWall:
      return paint_run<Pattern::kWall>(paint, depth, x0, x1, row, rgb);
  }
}

I32x8 Shader::mixed_lanes(const Canvas& canvas, int y, int x) const {
  const std::uint32_t* const ids = canvas.primitives(y) + x;
  const float row = static_cast<float>(y) + 0.5F;
  I32x8 colors = {colors_[ids[0]], colors_[ids[1]], colors_[ids[2]], colors_[ids[3]],
                  colors_[ids[4]], colors_[ids[5]], colors_[ids[6]], colors_[ids[7]]};
  // One round for each patterned plane among the eight pixels: mostly one or two.
  for (unsigned left = lane_bits(colors < 0); left != 0;) {
    const std::int32_t code = colors_[ids[std::countr_zero(left)]];
    const I32x8 same = colors == code;
    // 1 keeps the lanes that are not used finite.
    const F32x8 inverse_depth = same ? load<F32x8>(canvas.inverse_depth(y) + x) : splat(1.0F);
    const auto index = static_cast<std::size_t>(~code);
    const I32x8 painted = index < num_surfaces_
                              ? paint_lanes(paints_[index], x, row, inverse_depth)
                              : sample(textured_[index - num_surfaces_], x, row, inverse_depth);
    colors = same ? painted : colors;
    left &= ~lane_bits(same);
  }
  return colors;
}

void Shader::write_rgb(const Canvas& canvas, std::uint8_t* rgb) const {
  const int width = canvas.width();
  for (int y = 0; y < canvas.height(); ++y) {
    const std::uint32_t* const ids = canvas.primitives(y);
    const auto is_run = [ids](int x, I32x8 id) {
      return lane_bits(load<I32x8>(ids + x) == id) == kAllLanes;
    };
    int x = 0;
    while (x + kLanes <= width) {
      const I32x8 id = splat(static_cast<std::int32_t>(ids[x]));
      int end = x;
      while (end + kLanes <= width && is_run(end, id)) end += kLanes;
      if (end > x) {
        write_run(canvas, y, x, end, rgb);
        x = end;
      } else {
        store_rgb(mixed_lanes(canvas, y, x), rgb + 3 * static_cast<std::ptrdiff_t>(x));
        x += kLanes;
      }
    }
    if (x < width) {
      const U8x32 block = pack_rgb(mixed_lanes(canvas, y, x));
      std::memcpy(rgb + 3 * static_cast<std::ptrdiff_t>(x), &block,
                  3U * static_cast<std::size_t>(width - x));
    }
    rgb += 3 * static_cast<std::ptrdiff_t>(width);
  }
}

void Shader::write_ids(const Canvas& canvas, std::uint16_t* ids) const {
  for (int y = 0; y < canvas.height(); ++y) {
    const std::uint32_t* const row = canvas.primitives(y);
    for (int x = 0; x < canvas.width(); ++x) *ids++ = primitives_[row[x]].object_id;
  }
}

void Shader::write_depth(const Canvas& canvas, float* depth) {
  for (int y = 0; y < canvas.height(); ++y) {
    const float* const row = canvas.inverse_depth(y);
    for (int x = 0; x < canvas.width(); ++x) *depth++ = row[x] > 0.0F ? 1.0F / row[x] : 0.0F;
  }
}

}  // namespace flare::render
