// ProcTHOR / Holodeck house JSON (schema 1.0.0; 0.0.1 is upgraded) -> House.
#pragma once

#include <string>
#include <string_view>

#include "sim/asset_library.hpp"
#include "sim/house.hpp"

namespace flare::sim {

/// @param json    one house document
/// @param source  what to call it in messages, e.g. "val.jsonl.gz line 3"
/// Throws HouseFormatError: "<source>: <key>: <what is wrong>; <mend>".
House load_house(std::string_view json, const std::string& source, const AssetLibrary& library);

struct Span {
  float x0 = 0.0F, x1 = 0.0F;  // metres along the wall from its p0, x0 < x1, within the wall
};

/// Where an opening lies on either of its two walls (`wall` is opening.wall0 or opening.wall1).
Span hole_on_wall(const House& house, const Opening& opening, int wall);

}  // namespace flare::sim
