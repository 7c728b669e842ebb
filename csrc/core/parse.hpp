// Numbers in text files of the kernel.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace flare {

/// A word that is a number and nothing else. On one machine (GCC 13.3, within Python) reading these
/// files by a stream's >> made a memory limit of 0 out of "max"; why was not found.
inline std::optional<std::uint64_t> parse_number(std::string_view word) {
  std::uint64_t number = 0;
  const char* const end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

}  // namespace flare
