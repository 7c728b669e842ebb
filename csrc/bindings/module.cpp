// Lists the parts of flare._core; each bind_*.cpp checks arguments, drops the GIL and calls the
// core.
#include "bindings/bind.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() = "C++ core of flare: shared-memory rollouts, GAE, the embedded house simulator.";
  flare::bindings::bind_core(m);
  flare::bindings::bind_rollout(m);
  flare::bindings::bind_gae(m);
  flare::bindings::bind_house(m);
  flare::bindings::bind_env(m);
  flare::bindings::bind_followed(m);
}
