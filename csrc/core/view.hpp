// A pointer and a shape: what plain functions take instead of arrays of some library. Row-major
// and contiguous, never owns; indices are checked in debug builds only.
#pragma once

#include <array>
#include <cstddef>

#include "core/assert.hpp"

namespace flare {

template <typename T, std::size_t Rank>
class View {
 public:
  View() = default;
  View(T* data, std::array<std::size_t, Rank> shape) : data_(data), shape_(shape) {}

  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::size_t shape(std::size_t axis) const { return shape_[axis]; }
  [[nodiscard]] std::size_t size() const {
    std::size_t n = 1;
    for (const std::size_t extent : shape_) n *= extent;
    return n;
  }

  /// The element at the given indices, one per axis.
  template <typename... Index>
  T& operator()(Index... index) const {
    static_assert(sizeof...(Index) == Rank, "one index per axis");
    return data_[offset({static_cast<std::size_t>(index)...})];
  }

  /// First element of the block at `index` on the first axis.
  [[nodiscard]] T* row(std::size_t index) const {
    FLARE_ASSERT(index < shape_[0]);
    std::size_t stride = 1;
    for (std::size_t axis = 1; axis < Rank; ++axis) stride *= shape_[axis];
    return data_ + index * stride;
  }

 private:
  [[nodiscard]] std::size_t offset(std::array<std::size_t, Rank> index) const {
    std::size_t at = 0;
    for (std::size_t axis = 0; axis < Rank; ++axis) {
      FLARE_ASSERT(index[axis] < shape_[axis]);
      at = at * shape_[axis] + index[axis];
    }
    return at;
  }

  T* data_ = nullptr;
  std::array<std::size_t, Rank> shape_{};
};

template <typename T>
using View1 = View<T, 1>;
template <typename T>
using View2 = View<T, 2>;

}  // namespace flare
