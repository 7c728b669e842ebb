#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <new>
#include <optional>

#include "bindings/bind.hpp"
#include "bindings/numpy_view.hpp"
#include "core/error.hpp"
#include "rollout/gae_parallel.hpp"

namespace py = pybind11;

namespace flare::bindings {
namespace {

constexpr std::align_val_t kAlignment{64};

/// A new float32 array whose first element starts a cache line: numpy aligns to 16 bytes only, too
/// little for streaming stores.
template <std::size_t Rank>
py::array aligned_array(const std::array<std::size_t, Rank>& shape) {
  std::size_t bytes = sizeof(float);
  for (const std::size_t extent : shape) bytes *= extent;
  const auto deleter = [](void* p) { ::operator delete(p, kAlignment); };
  std::unique_ptr<void, decltype(deleter)> memory(::operator new(bytes, kAlignment), deleter);
  const py::capsule owner(memory.get(), deleter);
  auto* data = static_cast<float*>(memory.release());
  return py::array_t<float>(shape, data, owner);
}

template <std::size_t Rank>
py::array output_or_new(const std::optional<py::array>& out,
                        const std::array<std::size_t, Rank>& shape) {
  return out ? *out : aligned_array(shape);
}

/// Flags that may be left out: an empty view then.
template <std::size_t Rank>
View<const std::uint8_t, Rank> flags_or_none(const std::optional<py::array>& flags,
                                             const char* name,
                                             const std::array<std::size_t, Rank>& shape) {
  if (!flags) return {};
  return view_of<const std::uint8_t>(*flags, name, shape);
}

void check_settings(float gamma, float gae_lambda, int num_threads) {
  if (!(gamma >= 0.0F && gamma <= 1.0F) || !(gae_lambda >= 0.0F && gae_lambda <= 1.0F)) {
    throw py::value_error("gamma and gae_lambda must lie in [0, 1], got " + std::to_string(gamma) +
                          " and " + std::to_string(gae_lambda));
  }
  if (num_threads < 0) {
    throw py::value_error("num_threads must be 0 (choose) or more, got " +
                          std::to_string(num_threads));
  }
}

py::tuple gae(const py::array& rewards, const py::array& values, const py::array& terminated,
              const py::array& truncated, const py::array& final_values, float gamma,
              float gae_lambda, const std::optional<py::array>& advantages,
              const std::optional<py::array>& returns, const std::optional<py::array>& valid,
              bool truncation_is_terminal, int num_threads) {
  check_settings(gamma, gae_lambda, num_threads);
  const auto shape = shape_of<2>(rewards, "rewards");
  const GaeInput in{view_of<const float>(rewards, "rewards", shape),
                    view_of<const float, 2>(values, "values", {shape[0] + 1, shape[1]}),
                    view_of<const std::uint8_t>(terminated, "terminated", shape),
                    view_of<const std::uint8_t>(truncated, "truncated", shape),
                    view_of<const float>(final_values, "final_values", shape),
                    flags_or_none(valid, "valid", shape)};
  const py::array advantages_out = output_or_new(advantages, shape);
  const py::array returns_out = output_or_new(returns, shape);
  const GaeOutput out{view_of<float>(advantages_out, "advantages", shape),
                      view_of<float>(returns_out, "returns", shape)};
  {
    const py::gil_scoped_release release;
    compute_gae_parallel(in, out, {gamma, gae_lambda, truncation_is_terminal}, num_threads);
  }
  return py::make_tuple(advantages_out, returns_out);
}

void check_offsets(View1<const std::int64_t> offsets, std::size_t steps) {
  bool is_good = offsets(0) == 0 && offsets(offsets.size() - 1) == static_cast<std::int64_t>(steps);
  for (std::size_t s = 1; s < offsets.size(); ++s) is_good &= offsets(s) >= offsets(s - 1);
  if (!is_good) {
    throw ShapeError("offsets must ascend from 0 to the number of steps, " + std::to_string(steps));
  }
}

py::tuple gae_segments(const py::array& rewards, const py::array& values,
                       const py::array& terminated, const py::array& truncated,
                       const py::array& final_values, const py::array& offsets,
                       const py::array& bootstrap_values, float gamma, float gae_lambda,
                       const std::optional<py::array>& advantages,
                       const std::optional<py::array>& returns,
                       const std::optional<py::array>& valid, bool truncation_is_terminal,
                       int num_threads) {
  check_settings(gamma, gae_lambda, num_threads);
  const auto shape = shape_of<1>(rewards, "rewards");
  const auto segments = shape_of<1>(bootstrap_values, "bootstrap_values");
  const GaeSegmentsInput in{view_of<const float>(rewards, "rewards", shape),
                            view_of<const float>(values, "values", shape),
                            view_of<const std::uint8_t>(terminated, "terminated", shape),
                            view_of<const std::uint8_t>(truncated, "truncated", shape),
                            view_of<const float>(final_values, "final_values", shape),
                            view_of<const std::int64_t, 1>(offsets, "offsets", {segments[0] + 1}),
                            view_of<const float>(bootstrap_values, "bootstrap_values", segments),
                            flags_or_none(valid, "valid", shape)};
  check_offsets(in.offsets, shape[0]);
  const py::array advantages_out = output_or_new(advantages, shape);
  const py::array returns_out = output_or_new(returns, shape);
  const GaeSegmentsOutput out{view_of<float>(advantages_out, "advantages", shape),
                              view_of<float>(returns_out, "returns", shape)};
  {
    const py::gil_scoped_release release;
    compute_gae_segments_parallel(in, out, {gamma, gae_lambda, truncation_is_terminal},
                                  num_threads);
  }
  return py::make_tuple(advantages_out, returns_out);
}

}  // namespace

void bind_gae(py::module_& m) {
  m.def("compute_gae", &gae, py::arg("rewards"), py::arg("values"), py::arg("terminated"),
        py::arg("truncated"), py::arg("final_values"), py::arg("gamma"), py::arg("gae_lambda"),
        py::arg("advantages") = py::none(), py::arg("returns") = py::none(),
        py::arg("valid") = py::none(), py::arg("truncation_is_terminal") = false,
        py::arg("num_threads") = 0, "GAE over [T, N]; see flare.rollout.gae.compute_gae.");
  m.def("compute_gae_segments", &gae_segments, py::arg("rewards"), py::arg("values"),
        py::arg("terminated"), py::arg("truncated"), py::arg("final_values"), py::arg("offsets"),
        py::arg("bootstrap_values"), py::arg("gamma"), py::arg("gae_lambda"),
        py::arg("advantages") = py::none(), py::arg("returns") = py::none(),
        py::arg("valid") = py::none(), py::arg("truncation_is_terminal") = false,
        py::arg("num_threads") = 0,
        "GAE over packed segments; see flare.rollout.gae.compute_gae_segments.");
}

}  // namespace flare::bindings
