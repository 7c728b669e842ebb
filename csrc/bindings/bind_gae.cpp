#include "bindings/bind.hpp"

namespace flare::bindings {

void bind_gae(pybind11::module_& m) { (void)m; }

}  // namespace flare::bindings
