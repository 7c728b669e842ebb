#include "core/array_spec.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>

#include "core/error.hpp"

namespace flare {
namespace {

bool is_identifier(const std::string& name) {
  return !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
         });
}

/// Bytes said by a scalar text such as "<f4"; 0 for every other description.
std::size_t scalar_bytes(const std::string& dtype) {
  static const std::string kKinds = "biufcV";
  if (dtype.size() < 3 || kKinds.find(dtype[1]) == std::string::npos) return 0;
  std::size_t bytes = 0;
  const char* end = dtype.data() + dtype.size();
  const auto [stopped, error] = std::from_chars(dtype.data() + 2, end, bytes);
  return error == std::errc() && stopped == end ? bytes : 0;
}

}  // namespace

std::size_t ArraySpec::bytes() const {
  std::size_t total = item_bytes;
  for (const std::size_t extent : shape) {
    if (extent != 0 && total > std::numeric_limits<std::size_t>::max() / extent) {
      throw ShapeError("array '" + name + "': its size in bytes does not fit 64 bits");
    }
    total *= extent;
  }
  return total;
}

void ArraySpec::validate() const {
  if (!is_identifier(name) || name.size() > kMaxNameBytes) {
    throw ShapeError("array name '" + name + "': use 1 to " + std::to_string(kMaxNameBytes) +
                     " letters, digits or '_', not starting with a digit");
  }
  if (shape.size() > kMaxRank) {
    throw ShapeError("array '" + name + "': " + std::to_string(shape.size()) + " axes, at most " +
                     std::to_string(kMaxRank) + " are supported");
  }
  const std::size_t said = scalar_bytes(dtype);
  if (item_bytes == 0 || dtype.empty() || (said != 0 && said != item_bytes)) {
    throw DtypeError("array '" + name + "': dtype '" + dtype + "' does not have " +
                     std::to_string(item_bytes) + " bytes an element");
  }
  (void)bytes();
}

}  // namespace flare
