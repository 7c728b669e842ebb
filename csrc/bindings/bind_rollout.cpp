#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "bindings/bind.hpp"
#include "bindings/numpy_view.hpp"
#include "bindings/request_iterator.hpp"
#include "core/error.hpp"
#include "rollout/rollout_buffer.hpp"
#include "rollout/worker_slot.hpp"

namespace py = pybind11;

namespace flare::bindings {
namespace {

using Nanoseconds = std::chrono::nanoseconds;
using SpecTuple = std::tuple<std::string, std::string, std::size_t, std::vector<std::size_t>>;

/// Calls wait(slice) until it returns true or the time is over, without the GIL, and lets Python
/// handle signals in between, so that Ctrl-C ends a wait.
template <typename Wait>
bool wait_in_slices(std::optional<double> timeout_s, const Wait& wait) {
  using Clock = std::chrono::steady_clock;
  constexpr double kLongestSeconds = 1e9;
  const double seconds = std::clamp(timeout_s.value_or(kLongestSeconds), 0.0, kLongestSeconds);
  const auto deadline = Clock::now() + std::chrono::duration_cast<Nanoseconds>(
                                           std::chrono::duration<double>(seconds));
  while (true) {
    {
      const py::gil_scoped_release release;
      const auto left = std::max<Nanoseconds>(deadline - Clock::now(), Nanoseconds::zero());
      if (wait(std::min<Nanoseconds>(left, RolloutBuffer::kLivenessPeriod))) return true;
    }
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (Clock::now() >= deadline) return false;
  }
}

std::shared_ptr<RolloutBuffer> create(const std::vector<SpecTuple>& specs, std::size_t num_envs,
                                      const std::string& name) {
  std::vector<ArraySpec> arrays;
  arrays.reserve(specs.size());
  for (const auto& [array, dtype, item_bytes, shape] : specs) {
    arrays.push_back({array, dtype, item_bytes, shape});
  }
  return std::make_shared<RolloutBuffer>(RolloutBuffer::create(arrays, num_envs, name));
}

std::shared_ptr<RolloutBuffer> attach(SharedMemory memory, std::uint64_t token) {
  return std::make_shared<RolloutBuffer>(RolloutBuffer::attach(std::move(memory), token));
}

std::vector<SpecTuple> specs_of(const RolloutBuffer& buffer) {
  std::vector<SpecTuple> specs;
  for (const PlacedArray& array : buffer.layout().arrays()) {
    specs.emplace_back(array.spec.name, array.spec.dtype, array.spec.item_bytes, array.spec.shape);
  }
  return specs;
}

py::array array_bytes(const py::object& self, const std::string& name) {
  const auto& buffer = self.cast<const RolloutBuffer&>();
  return bytes_of(buffer.array(name), buffer.layout().find(name).spec.bytes(), self);
}

Command command_of(std::uint32_t value) {
  if (value > static_cast<std::uint32_t>(Command::kClose)) {
    throw StateError("command " + std::to_string(value) + " does not exist");
  }
  return static_cast<Command>(value);
}

std::span<const std::int32_t> envs_of(const py::array& envs) {
  const auto view = view_of<const std::int32_t>(envs, "envs", shape_of<1>(envs, "envs"));
  return {view.data(), view.size()};
}

void send_one_row(RolloutBuffer& self, const py::array& envs, std::uint32_t step,
                  std::uint32_t command) {
  self.send_actions(envs_of(envs), std::span(&step, 1), command_of(command));
}

void send_rows(RolloutBuffer& self, const py::array& envs, const py::array& steps,
               std::uint32_t command) {
  const auto env_span = envs_of(envs);
  const auto rows = span_of<const std::uint32_t>(steps, "steps", env_span.size());
  self.send_actions(env_span, rows, command_of(command));
}

py::tuple wait_ready(RolloutBuffer& self, std::size_t min_count, std::optional<double> timeout_s) {
  (void)wait_in_slices(timeout_s,
                       [&](Nanoseconds slice) { return self.wait_until_ready(min_count, slice); });
  const ReadyEnvs envs = self.take_ready();
  const auto as_array = [](const std::vector<std::int32_t>& v) {
    return py::array_t<std::int32_t>(static_cast<py::ssize_t>(v.size()), v.data());
  };
  return py::make_tuple(as_array(envs.ready), as_array(envs.dead));
}

std::optional<std::pair<std::uint32_t, std::uint32_t>> wait_action(
    WorkerSlot& self, std::optional<double> timeout_s) {
  std::optional<Request> request;
  (void)wait_in_slices(timeout_s, [&](Nanoseconds slice) {
    request = self.wait_action(slice);
    return request.has_value();
  });
  if (!request) return std::nullopt;
  return std::pair{static_cast<std::uint32_t>(request->command), request->step};
}

void bind_buffer(py::module_& m) {
  py::class_<RolloutBuffer, std::shared_ptr<RolloutBuffer>>(
      m, "RolloutBuffer", "Arrays in shared memory and the hand-over of their slots.")
      .def_static("create", &create, py::arg("specs"), py::arg("num_envs"), py::arg("name"),
                  "specs: (name, dtype text, item bytes, shape) of each array; name: '' for none.")
      .def_static(
          "attach_process",
          [](pid_t pid, int fd, std::uint64_t token) {
            return attach(SharedMemory::attach_process(pid, fd), token);
          },
          py::arg("pid"), py::arg("fd"), py::arg("token"))
      .def_static(
          "attach_fd",
          [](int fd, std::uint64_t token) { return attach(SharedMemory::attach_fd(fd), token); },
          py::arg("fd"), py::arg("token"))
      .def_static(
          "attach_named",
          [](const std::string& name, std::uint64_t token) {
            return attach(SharedMemory::attach_named(name), token);
          },
          py::arg("name"), py::arg("token"))
      .def_property_readonly("specs", &specs_of)
      .def_property_readonly("num_envs", &RolloutBuffer::num_envs)
      .def_property_readonly("num_bytes",
                             [](const RolloutBuffer& self) { return self.memory().size(); })
      .def_property_readonly("address",
                             [](const RolloutBuffer& self) {
                               return reinterpret_cast<std::uintptr_t>(self.memory().data());
                             })
      .def_property_readonly("fd", [](const RolloutBuffer& self) { return self.memory().fd(); })
      .def_property_readonly("name", [](const RolloutBuffer& self) { return self.memory().name(); })
      .def_property_readonly("token", &RolloutBuffer::token)
      .def("array_bytes", &array_bytes, py::arg("name"), "An array's bytes, [bytes] uint8, a view.")
      .def("send_actions", &send_one_row, py::arg("envs"), py::arg("step"), py::arg("command"))
      .def("send_actions", &send_rows, py::arg("envs"), py::arg("steps"), py::arg("command"))
      .def("wait_ready", &wait_ready, py::arg("min_count"), py::arg("timeout"))
      .def("expect_worker", &RolloutBuffer::expect_worker, py::arg("env"), py::arg("pid"))
      .def("reclaim", &RolloutBuffer::reclaim, py::arg("env"))
      .def(
          "state",
          [](const RolloutBuffer& self, std::int32_t env) {
            return static_cast<std::uint32_t>(self.state(env));
          },
          py::arg("env"));
}

}  // namespace

void bind_rollout(py::module_& m) {
  bind_buffer(m);
  bind_requests(m);
  py::class_<WorkerSlot, std::shared_ptr<WorkerSlot>>(m, "WorkerSlot",
                                                      "The environment's side of one slot.")
      .def(py::init<std::shared_ptr<RolloutBuffer>, std::int32_t>(), py::arg("buffer"),
           py::arg("env"))
      .def("take_request", &wait_action, py::arg("timeout"),
           "(command, step) of the next request, None when the time is over.")
      .def(
          "iterate", &make_requests, py::arg("request_type"), py::arg("commands"),
          "The requests until CLOSE, as request_type(commands[value], step); the next finishes the "
          "one before.")
      .def("finish_step", &WorkerSlot::finish_step,
           "Hands the written rows over; StateError without a taken request.")
      .def("leave", &WorkerSlot::leave, "Ends the hold; twice is once.")
      .def_property_readonly("env", &WorkerSlot::env);
}

}  // namespace flare::bindings
