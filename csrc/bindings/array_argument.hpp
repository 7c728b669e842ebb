// Checks of numpy arguments: a message names the argument, what was expected and what was given.
#pragma once

#include <pybind11/numpy.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/error.hpp"

namespace flare::bindings {

namespace py = pybind11;

enum class Access { kRead, kWrite };

inline std::string shape_text(const std::vector<py::ssize_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

/// Throws DtypeError or ShapeError unless the array has this dtype and shape, is C-contiguous and,
/// for kWrite, writable.
inline void check_array(const py::array& array, const char* name, const py::dtype& dtype,
                        const std::vector<py::ssize_t>& shape, Access access) {
  const std::string argument = std::string(name) + ": ";
  if (!array.dtype().equal(dtype)) {
    throw DtypeError(argument + "expected dtype " + py::str(dtype).cast<std::string>() + ", got " +
                     py::str(array.dtype()).cast<std::string>());
  }
  const std::vector<py::ssize_t> given(array.shape(), array.shape() + array.ndim());
  if (given != shape) {
    throw ShapeError(argument + "expected shape " + shape_text(shape) + ", got " +
                     shape_text(given));
  }
  if ((array.flags() & py::array::c_style) == 0) {
    throw ShapeError(argument +
                     "expected a C-contiguous array, got one with strides; "
                     "pass numpy.ascontiguousarray of it");
  }
  if (access == Access::kWrite && !array.writeable()) {
    throw ShapeError(argument + "expected a writable array, got a read-only one");
  }
}

/// The checked elements of a one-dimensional array.
template <typename T>
std::span<const T> read_vector(const py::array& array, const char* name, py::ssize_t count) {
  check_array(array, name, py::dtype::of<T>(), {count}, Access::kRead);
  return {static_cast<const T*>(array.data()), static_cast<std::size_t>(count)};
}

template <typename T>
T* write_pointer(py::array& array, const char* name, const std::vector<py::ssize_t>& shape) {
  check_array(array, name, py::dtype::of<T>(), shape, Access::kWrite);
  return static_cast<T*>(array.mutable_data());
}

}  // namespace flare::bindings
