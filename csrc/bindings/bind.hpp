#pragma once

#include <pybind11/pybind11.h>

namespace flare::bindings {

void bind_core(pybind11::module_& m);     // exceptions, keyed random numbers
void bind_rollout(pybind11::module_& m);  // RolloutBuffer and its worker side
void bind_gae(pybind11::module_& m);      // GAE entries
void bind_house(pybind11::module_& m);    // AssetLibrary, House
void bind_env(pybind11::module_& m);
void bind_followed(pybind11::module_& m);  // FollowedWorlds, Report dtype

}  // namespace flare::bindings
