// Colours made from names, so that a material or an object kind nobody listed still looks the same
// in every run and on every machine.
#pragma once

#include <cstdint>
#include <string_view>

#include "sim/house.hpp"

namespace flare::sim {

/// FNV-1a, 64 bit (Fowler, Noll, Vo); `seed` is the offset basis unless hashes are chained.
std::uint64_t hash_text(std::string_view text, std::uint64_t seed = 0xCBF29CE484222325ULL);

/// @param hue in turns [0, 1), @param saturation, @param value in [0, 1]
Color color_from_hsv(float hue, float saturation, float value);

/// Muted colour of a floor or wall material: browns for wood, near greys for stone and tiles.
Color color_of_material(std::string_view name);

/// Colour of an object type that the library does not know; its hue is a hash of the name.
Color color_of_type(std::string_view type);

/// The colour of one asset of a category: lighter or darker and slightly shifted by the asset's id,
/// never so far that it leaves the category's hue.
Color vary_color(Color color, std::string_view asset_id);

}  // namespace flare::sim
