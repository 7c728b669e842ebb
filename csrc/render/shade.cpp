#include "render/shade.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "render/material.hpp"

namespace flare::render {
namespace {

constexpr std::uint32_t kSky = 0xE6D2BE;  // 0xBBGGRR

/// 0x00BBGGRR in eight lanes to 24 bytes.
void store_rgb(I32x8 colors, std::uint8_t* target, int pixels) {
  const auto bytes = reinterpret_cast<U8x32>(colors);
  const U8x32 packed =
      __builtin_shufflevector(bytes, bytes, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18, 20,
                              21, 22, 24, 25, 26, 28, 29, 30, 0, 0, 0, 0, 0, 0, 0, 0);
  if (pixels >= kLanes) {
    std::memcpy(target, &packed, 3U * kLanes);
  } else {
    std::memcpy(target, &packed, 3U * static_cast<std::size_t>(pixels));
  }
}

}  // namespace

Shader::Paint Shader::make_paint(const Surface& surface, const View& view,
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
  const float brightness = 255.0F * light(surface.normal);
  paint.r = color.r * brightness;
  paint.g = color.g * brightness;
  paint.b = color.b * brightness;
  return paint;
}

void Shader::begin(const Scene::Impl& scene, const View& view, std::uint64_t material_seed,
                   std::span<const Primitive> primitives) {
  primitives_ = primitives;
  colors_.resize(primitives.size());
  paints_.resize(std::max(paints_.size(), scene.surfaces.size()));
  made_.assign(paints_.size(), 0);
  for (std::size_t i = 0; i < primitives.size(); ++i) {
    const Primitive& primitive = primitives[i];
    colors_[i] = static_cast<std::int32_t>(i == Canvas::kNothing ? kSky : primitive.color);
    if (primitive.surface < 0) continue;
    const auto surface = static_cast<std::size_t>(primitive.surface);
    colors_[i] = ~primitive.surface;
    if (made_[surface] != 0) continue;
    made_[surface] = 1;
    paints_[surface] = make_paint(scene.surfaces[surface], view, material_seed);
  }
}

I32x8 Shader::paint_lanes(const Paint& paint, int x, int y, F32x8 inverse_depth) {
  const F32x8 column = to_float(kLaneIndex + x) + 0.5F;
  const float row = static_cast<float>(y) + 0.5F;
  const F32x8 depth = 1.0F / inverse_depth;
  const F32x8 u = paint.u0 + depth * (paint.ua * column + (paint.ub * row + paint.uc));
  const F32x8 v = paint.v0 + depth * (paint.va * column + (paint.vb * row + paint.vc));
  const F32x8 brightness = pattern_brightness(paint.pattern, u, v, depth * depth * paint.footprint);
  const auto channel = [&](float value) {
    return to_int(min(max(brightness * value, splat(0.0F)), splat(255.0F)) + 0.5F);
  };
  return channel(paint.r) | channel(paint.g) << 8 | channel(paint.b) << 16;
}

I32x8 Shader::color_lanes(const Canvas& canvas, int x, int y) const {
  const std::uint32_t* const ids = canvas.primitives(y) + x;
  const I32x8 lanes = load<I32x8>(ids);
  const F32x8 inverse_depth = load<F32x8>(canvas.inverse_depth(y) + x);
  const std::int32_t first = colors_[ids[0]];
  if (lane_bits(lanes == static_cast<std::int32_t>(ids[0])) == kAllLanes) {
    return first >= 0 ? splat(first)
                      : paint_lanes(paints_[static_cast<std::size_t>(~first)], x, y, inverse_depth);
  }
  I32x8 colors = {first,           colors_[ids[1]], colors_[ids[2]], colors_[ids[3]],
                  colors_[ids[4]], colors_[ids[5]], colors_[ids[6]], colors_[ids[7]]};
  // One round for each patterned plane among the eight pixels: mostly one or two.
  for (unsigned left = lane_bits(colors < 0); left != 0;) {
    const std::int32_t code = colors_[ids[std::countr_zero(left)]];
    const I32x8 same = colors == code;
    // 1 keeps the lanes that are not used finite.
    const I32x8 paint = paint_lanes(paints_[static_cast<std::size_t>(~code)], x, y,
                                    same ? inverse_depth : splat(1.0F));
    colors = same ? paint : colors;
    left &= ~lane_bits(same);
  }
  return colors;
}

void Shader::write_rgb(const Canvas& canvas, std::uint8_t* rgb) const {
  for (int y = 0; y < canvas.height(); ++y) {
    for (int x = 0; x < canvas.width(); x += kLanes) {
      store_rgb(color_lanes(canvas, x, y), rgb + 3 * static_cast<std::ptrdiff_t>(x),
                canvas.width() - x);
    }
    rgb += 3 * static_cast<std::ptrdiff_t>(canvas.width());
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
