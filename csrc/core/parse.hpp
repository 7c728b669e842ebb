// Numbers in text files of the kernel.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace flare {

/// A word that is a number and nothing else. Streams are no substitute: where another copy of the
/// C++ library is loaded beside ours, their facets of numbers may be its, and read 0.
inline std::optional<std::uint64_t> parse_number(std::string_view word) {
  std::uint64_t number = 0;
  const char* const end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

}  // namespace flare
