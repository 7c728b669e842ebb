#include <pybind11/pybind11.h>

#include "bindings/bind.hpp"
#include "core/error.hpp"
#include "core/rng.hpp"

namespace py = pybind11;

namespace flare::bindings {

void bind_core(py::module_& m) {
  auto& base = py::register_exception<FlareError>(m, "FlareError");
  const auto child = [&](PyObject* builtin) { return py::make_tuple(base, py::handle(builtin)); };
  py::register_exception<ShapeError>(m, "ShapeError", child(PyExc_ValueError));
  py::register_exception<DtypeError>(m, "DtypeError", child(PyExc_TypeError));
  py::register_exception<StateError>(m, "StateError", child(PyExc_RuntimeError));
  py::register_exception<SharedMemoryError>(m, "SharedMemoryError", child(PyExc_OSError));
  py::register_exception<HouseFormatError>(m, "HouseFormatError", child(PyExc_ValueError));
  m.def("keyed_bits", &keyed_bits, py::arg("seed"), py::arg("env"), py::arg("episode"),
        py::arg("step"), py::arg("draw"),
        "Random 64 bits of a key (see csrc/core/rng.hpp); flare.rng computes the same in numpy.");
}

}  // namespace flare::bindings
