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

}  // namespace flare::sim
