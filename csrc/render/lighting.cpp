#include "render/lighting.hpp"

#include <algorithm>

#include "core/rng.hpp"
#include "render/trigonometry.hpp"

namespace flare::render {
namespace {

std::uint32_t channel(float value) {
  return static_cast<std::uint32_t>(std::clamp(value, 0.0F, 1.0F) * 255.0F + 0.5F);
}

Vec3 direction(float azimuth_deg, float elevation_deg) {
  const SinCos azimuth = sin_cos_deg(azimuth_deg);
  const SinCos elevation = sin_cos_deg(elevation_deg);
  return {elevation.cos * azimuth.sin, elevation.sin, elevation.cos * azimuth.cos};
}

}  // namespace

sim::Color Finish::apply(sim::Color color) const {
  // Luma of Rec. 601.
  const float luma = 0.299F * color.r + 0.587F * color.g + 0.114F * color.b;
  const auto channel = [&](float c) { return (c + (luma - c) * grey) * gain; };
  return {channel(color.r), channel(color.g), channel(color.b)};
}

Finish draw_finish(std::uint64_t texture_seed, std::int32_t object) {
  if (texture_seed == 0) return {};
  const auto uniform = [&](std::uint64_t draw, float low, float high) {
    const float u = keyed_uniform(texture_seed, static_cast<std::uint64_t>(object), 0, 0, draw);
    return low + (high - low) * u;
  };
  return {uniform(0, 0.80F, 1.15F), uniform(1, 0.0F, 0.25F)};
}

float Lighting::brightness(Vec3 normal) const {
  return ambient + key_gain * std::max(0.0F, dot(normal, key)) +
         fill_gain * std::max(0.0F, dot(normal, fill)) + sky_gain * dot(normal, up);
}

Lighting Lighting::in_frame(Vec3 axis_x, Vec3 axis_y, Vec3 axis_z) const {
  Lighting out = *this;
  for (Vec3* v : {&out.key, &out.fill, &out.up}) {
    *v = {dot(axis_x, *v), dot(axis_y, *v), dot(axis_z, *v)};
  }
  return out;
}

std::uint32_t Lighting::shade(sim::Color color, Vec3 normal) const {
  const float b = brightness(normal);
  return channel(color.r * b * tint.r) | channel(color.g * b * tint.g) << 8U |
         channel(color.b * b * tint.b) << 16U;
}

Lighting make_lighting(std::uint64_t light_seed) {
  Lighting light;
  if (light_seed == 0) return light;
  const auto uniform = [light_seed](std::uint64_t draw, float low, float high) {
    return low + (high - low) * keyed_uniform(light_seed, 0, 0, 0, draw);
  };
  const float azimuth = uniform(0, 0.0F, 360.0F);
  light.key = direction(azimuth, uniform(1, 30.0F, 70.0F));
  light.fill = direction(azimuth + uniform(2, 120.0F, 240.0F), uniform(3, 10.0F, 40.0F));
  const float gain = uniform(4, 0.75F, 1.15F);
  light.ambient *= gain;
  light.key_gain *= gain * uniform(5, 0.5F, 1.5F);
  light.fill_gain *= gain * uniform(6, 0.5F, 1.5F);
  const float warmth = uniform(7, -0.08F, 0.08F);
  light.tint = {1.0F + warmth, 1.0F, 1.0F - warmth};
  return light;
}

}  // namespace flare::render
