// numpy arrays as views and memory as numpy arrays. Nothing is copied or converted: an array of
// another type, shape or order is the caller's mistake and is named.
#pragma once

#include <pybind11/numpy.h>

#include <array>
#include <span>
#include <string>
#include <type_traits>

#include "core/error.hpp"
#include "core/view.hpp"

namespace flare::bindings {

/// A shape as text: "[128, 32]".
template <typename Extents>
std::string shape_text(const Extents& extents, std::size_t rank) {
  std::string text = "[";
  for (std::size_t i = 0; i < rank; ++i) text += (i == 0 ? "" : ", ") + std::to_string(extents[i]);
  return text + "]";
}

/// Whether an array's elements are T (a number or a struct registered with numpy); bool and uint8
/// count as the same byte.
template <typename T>
bool has_items_of(const pybind11::array& array) {
  using Item = std::remove_const_t<T>;
  const pybind11::dtype dtype = array.dtype();
  if constexpr (std::is_class_v<Item>) return dtype.equal(pybind11::dtype::of<Item>());
  // numpy has one object for each native type, and nearly every array holds that one.
  static const PyObject* const native = pybind11::dtype::of<Item>().release().ptr();
  if (dtype.ptr() == native) return true;
  const char kind = dtype.kind();
  const bool is_native = dtype.byteorder() == '=' || dtype.byteorder() == '|';
  bool is_kind = false;
  if constexpr (std::is_floating_point_v<Item>) {
    is_kind = kind == 'f';
  } else if constexpr (std::is_signed_v<Item>) {
    is_kind = kind == 'i';
  } else {
    is_kind = kind == 'u' || (sizeof(Item) == 1 && kind == 'b');
  }
  return is_kind && is_native && array.itemsize() == static_cast<pybind11::ssize_t>(sizeof(Item));
}

/// A view of a C-contiguous array of exactly this element type and shape; writeable if T is not
/// const. @throws DtypeError, ShapeError, both naming the argument.
template <typename T, std::size_t Rank>
View<T, Rank> view_of(const pybind11::array& array, const char* name,
                      const std::array<std::size_t, Rank>& shape) {
  if (!has_items_of<T>(array)) {
    const auto wanted = pybind11::str(pybind11::dtype::of<std::remove_const_t<T>>());
    throw DtypeError(std::string(name) + " must be " + std::string(wanted) + ", got " +
                     std::string(pybind11::str(array.dtype())));
  }
  bool is_same = array.ndim() == static_cast<pybind11::ssize_t>(Rank);
  for (std::size_t axis = 0; is_same && axis < Rank; ++axis) {
    is_same = static_cast<std::size_t>(array.shape()[axis]) == shape[axis];
  }
  if (!is_same) {
    throw ShapeError(std::string(name) + " must be " + shape_text(shape, Rank) + ", got " +
                     shape_text(array.shape(), static_cast<std::size_t>(array.ndim())));
  }
  if ((array.flags() & pybind11::array::c_style) == 0) {
    throw ShapeError(std::string(name) + " must be C-contiguous; use numpy.ascontiguousarray");
  }
  if constexpr (std::is_const_v<T>) {
    return {static_cast<T*>(array.data()), shape};
  } else {
    if (!array.writeable()) throw ShapeError(std::string(name) + " must be writeable");
    return {static_cast<T*>(const_cast<void*>(array.data())), shape};
  }
}

/// The same of a one-dimensional array.
template <typename T>
std::span<T> span_of(const pybind11::array& array, const char* name, std::size_t count) {
  return {view_of<T, 1>(array, name, {count}).data(), count};
}

/// The extents of an array that is to have Rank axes. @throws ShapeError.
template <std::size_t Rank>
std::array<std::size_t, Rank> shape_of(const pybind11::array& array, const char* name) {
  if (array.ndim() != static_cast<pybind11::ssize_t>(Rank)) {
    throw ShapeError(std::string(name) + " must have " + std::to_string(Rank) + " axes, got " +
                     shape_text(array.shape(), static_cast<std::size_t>(array.ndim())));
  }
  std::array<std::size_t, Rank> shape{};
  for (std::size_t axis = 0; axis < Rank; ++axis) {
    shape[axis] = static_cast<std::size_t>(array.shape()[axis]);
  }
  return shape;
}

/// Bytes as a numpy array [bytes] uint8 that keeps `owner` alive, whatever happens to its name.
inline pybind11::array bytes_of(std::byte* data, std::size_t bytes, pybind11::handle owner) {
  return pybind11::array(pybind11::dtype::of<std::uint8_t>(),
                         {static_cast<pybind11::ssize_t>(bytes)}, data, owner);
}

}  // namespace flare::bindings
