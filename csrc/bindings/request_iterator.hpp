#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "rollout/worker_slot.hpp"

namespace flare::bindings {

/// Adds the type `Requests` to the module.
void bind_requests(pybind11::module_& m);

/// An iterator over the slot's requests, which are made as `request_type` (a tuple of a member of
/// `commands`, by value, and the row). Its next finishes the request before; CLOSE ends it.
pybind11::object make_requests(std::shared_ptr<WorkerSlot> slot, pybind11::type request_type,
                               pybind11::tuple commands);

}  // namespace flare::bindings
