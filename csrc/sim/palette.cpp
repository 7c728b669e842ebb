#include "sim/palette.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "core/rng.hpp"

namespace flare::sim {
namespace {

struct MaterialLook {
  std::string_view word;  // in lower case, as part of the material's name
  float hue, hue_range;
  float saturation, value;
};

// The first match counts.
constexpr std::array kMaterialLooks = {
    MaterialLook{"wood", 0.07F, 0.04F, 0.42F, 0.58F},
    MaterialLook{"carpet", 0.0F, 1.0F, 0.16F, 0.55F},
    MaterialLook{"brick", 0.02F, 0.03F, 0.40F, 0.60F},
    MaterialLook{"tile", 0.10F, 0.40F, 0.08F, 0.78F},
    MaterialLook{"marble", 0.10F, 0.40F, 0.06F, 0.74F},
    MaterialLook{"granite", 0.55F, 0.20F, 0.08F, 0.50F},
    MaterialLook{"concrete", 0.10F, 0.10F, 0.05F, 0.62F},
    MaterialLook{"white", 0.12F, 0.05F, 0.04F, 0.88F},
};

/// One of the numbers in [0, 1) that a hash gives, by `draw`.
float unit(std::uint64_t hash, std::uint64_t draw) {
  return static_cast<float>(mix64(hash ^ mix64(draw)) >> 40U) * 0x1.0p-24F;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

std::uint64_t hash_text(std::string_view text, std::uint64_t seed) {
  std::uint64_t hash = seed;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  }
  return hash;
}

Color color_from_hsv(float hue, float saturation, float value) {
  const float turn = (hue - std::floor(hue)) * 6.0F;
  const auto channel = [&](float offset) {
    const float k = std::fmod(offset + turn, 6.0F);
    const float ramp = std::clamp(std::min(k, 4.0F - k), 0.0F, 1.0F);
    return value * (1.0F - saturation * ramp);
  };
  return {channel(5.0F), channel(3.0F), channel(1.0F)};
}

Color color_of_material(std::string_view name) {
  const std::string lower = lower_case(name);
  const std::uint64_t hash = hash_text(name);
  MaterialLook look{"", 0.0F, 1.0F, 0.14F, 0.72F};
  for (const MaterialLook& known : kMaterialLooks) {
    if (lower.find(known.word) != std::string::npos) {
      look = known;
      break;
    }
  }
  return color_from_hsv(look.hue + look.hue_range * unit(hash, 0),
                        look.saturation * (0.75F + 0.5F * unit(hash, 1)),
                        std::min(look.value * (0.85F + 0.3F * unit(hash, 2)), 0.95F));
}

Color color_of_type(std::string_view type) {
  const std::uint64_t hash = hash_text(type);
  return color_from_hsv(unit(hash, 0), 0.25F + 0.2F * unit(hash, 1), 0.45F + 0.3F * unit(hash, 2));
}

Color vary_color(Color color, std::string_view asset_id) {
  const std::uint64_t hash = hash_text(asset_id);
  const float gain = 0.85F + 0.3F * unit(hash, 0);
  const auto channel = [&](float c, std::uint64_t draw) {
    return std::clamp(c * gain + 0.06F * (unit(hash, draw) - 0.5F), 0.0F, 1.0F);
  };
  return {channel(color.r, 1), channel(color.g, 2), channel(color.b, 3)};
}

}  // namespace flare::sim
