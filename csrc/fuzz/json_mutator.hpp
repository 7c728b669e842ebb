// Changes JSON documents as documents, so that what a change leads to is past the parser.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace flare::fuzz {

/// One to four changes of the document: numbers, strings and entries replaced, taken out, repeated
/// and exchanged. Empty if the text is not JSON. The same for the same text and seed.
std::string mutate_json(std::string_view text, std::uint64_t seed);

}  // namespace flare::fuzz
