// What can go wrong because of the caller's input. Each type becomes a Python exception that is
// also a flare.FlareError (csrc/bindings/bind_core.cpp). Our own bugs are asserts, not exceptions.
#pragma once

#include <stdexcept>
#include <string>

namespace flare {

class FlareError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An array has the wrong shape. Python: ValueError.
class ShapeError : public FlareError {
 public:
  using FlareError::FlareError;
};

/// An array has the wrong element type. Python: TypeError.
class DtypeError : public FlareError {
 public:
  using FlareError::FlareError;
};

/// A call came in the wrong order or for something absent. Python: RuntimeError.
class StateError : public FlareError {
 public:
  using FlareError::FlareError;
};

/// The operating system refused shared memory. Python: OSError.
class SharedMemoryError : public FlareError {
 public:
  using FlareError::FlareError;
};

/// A house file breaks the schema; the message names file, key and mend. Python: ValueError.
class HouseFormatError : public FlareError {
 public:
  using FlareError::FlareError;
};

}  // namespace flare
