// Name, element type and shape of one array of a rollout: the only place of the core that knows how
// many bytes an array takes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace flare {

struct ArraySpec {
  std::string name;        // letters, digits and _; unique within a buffer
  std::string dtype;       // numpy's text: "|u1", "<f4", or the description of a structured type
  std::size_t item_bytes;  // of one element
  std::vector<std::size_t> shape;  // row-major, at most kMaxRank axes

  static constexpr std::size_t kMaxRank = 8;
  static constexpr std::size_t kMaxNameBytes = 63;

  /// Bytes of the whole array. @throws ShapeError if that overflows.
  [[nodiscard]] std::size_t bytes() const;

  /// @throws ShapeError for a bad name or rank, DtypeError if dtype and item_bytes disagree.
  void validate() const;
};

}  // namespace flare
