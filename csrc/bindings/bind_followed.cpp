#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstring>
#include <memory>
#include <vector>

#include "bindings/bind.hpp"
#include "bindings/numpy_view.hpp"
#include "env/batch_env.hpp"
#include "env/followed_worlds.hpp"

namespace py = pybind11;

namespace flare::bindings {
namespace {

using env::FollowedWorlds;
using sim::EpisodeSpec;
using sim::Facts;
using sim::Report;
using sim::WorldState;

/// Rows that belong together: envs [n], reports [n] and the facts [N] that are written.
struct Rows {
  std::span<const std::int32_t> envs;
  std::span<const Report> reports;
  std::span<Facts> facts;
};

Rows rows_of(const FollowedWorlds& self, const py::array& env_ids, const py::array& reports,
             const py::array& facts) {
  const std::size_t n = shape_of<1>(env_ids, "env_ids")[0];
  return {span_of<const std::int32_t>(env_ids, "env_ids", n),
          span_of<const Report>(reports, "reports", n),
          span_of<Facts>(facts, "facts", static_cast<std::size_t>(self.num_envs()))};
}

void check(const FollowedWorlds& self, const py::array& env_ids, const py::array& specs) {
  const std::size_t n = shape_of<1>(env_ids, "env_ids")[0];
  const auto ids = span_of<const std::int32_t>(env_ids, "env_ids", n);
  const auto starts = span_of<const EpisodeSpec>(specs, "specs", n);
  for (std::size_t i = 0; i < n; ++i) self.check(ids[i], starts[i]);
}

void prepare(FollowedWorlds& self, const py::array& spec) {
  const EpisodeSpec one = span_of<const EpisodeSpec>(spec, "spec", 1)[0];
  const py::gil_scoped_release unlocked;
  self.prepare(one);
}

void reset(FollowedWorlds& self, const py::array& env_ids, const py::array& specs,
           const py::array& reports, const py::array& facts) {
  const Rows rows = rows_of(self, env_ids, reports, facts);
  const auto starts = span_of<const EpisodeSpec>(specs, "specs", rows.envs.size());
  const py::gil_scoped_release unlocked;
  for (std::size_t i = 0; i < rows.envs.size(); ++i) {
    self.reset(rows.envs[i], starts[i], rows.reports[i],
               rows.facts[static_cast<std::size_t>(rows.envs[i])]);
  }
}

py::array_t<bool> follow(FollowedWorlds& self, const py::array& env_ids, const py::array& actions,
                         const py::array& reports, const py::array& facts) {
  const Rows rows = rows_of(self, env_ids, reports, facts);
  const auto ids = span_of<const std::int32_t>(actions, "actions", rows.envs.size());
  py::array_t<bool> fit(static_cast<py::ssize_t>(rows.envs.size()));
  bool* const out = fit.mutable_data();
  const py::gil_scoped_release unlocked;
  for (std::size_t i = 0; i < rows.envs.size(); ++i) {
    out[i] = self.follow(rows.envs[i], static_cast<sim::Action>(ids[i]), rows.reports[i],
                         rows.facts[static_cast<std::size_t>(rows.envs[i])]);
  }
  return fit;
}

void restore(FollowedWorlds& self, const py::array& env_ids, const py::array& states,
             const py::array& reports, const py::array& facts) {
  const Rows rows = rows_of(self, env_ids, reports, facts);
  const auto bytes =
      view_of<const std::uint8_t, 2>(states, "states", {rows.envs.size(), sizeof(WorldState)});
  std::vector<WorldState> copies(rows.envs.size());  // bytes need not be aligned
  std::memcpy(copies.data(), bytes.data(), bytes.size());
  const py::gil_scoped_release unlocked;
  for (std::size_t i = 0; i < rows.envs.size(); ++i) {
    self.restore(rows.envs[i], copies[i], rows.reports[i],
                 rows.facts[static_cast<std::size_t>(rows.envs[i])]);
  }
}

py::array_t<std::uint8_t> save_state(const FollowedWorlds& self) {
  const int n = self.num_envs();
  py::array_t<std::uint8_t> out({py::ssize_t{n}, static_cast<py::ssize_t>(sizeof(WorldState))});
  for (int env = 0; env < n; ++env) {
    const WorldState state = self.world(env).state();
    std::memcpy(out.mutable_data(env, 0), &state, sizeof(WorldState));
  }
  return out;
}

py::array_t<std::int32_t> expert_actions(FollowedWorlds& self) {
  py::array_t<std::int32_t> actions(self.num_envs());
  for (int env = 0; env < self.num_envs(); ++env) {
    actions.mutable_at(env) = static_cast<std::int32_t>(self.expert_action(env));
  }
  return actions;
}

std::unique_ptr<FollowedWorlds> make(const std::vector<env::PlayableHouse>& houses, int num_envs) {
  std::vector<std::shared_ptr<const sim::LoadedHouse>> loaded;
  loaded.reserve(houses.size());
  for (const env::PlayableHouse& house : houses) loaded.push_back(house.sim);
  return std::make_unique<FollowedWorlds>(std::move(loaded), num_envs);
}

/// (material seed, light seed) of an episode, 0 for what is not drawn.
py::tuple look_seeds(const py::array& spec) {
  const EpisodeSpec one = span_of<const EpisodeSpec>(spec, "spec", 1)[0];
  return py::make_tuple(sim::draw_material_seed(one), sim::draw_light_seed(one));
}

/// [(pitch, vertical field of view)] of each camera in an episode, degrees.
py::list camera_settings(const env::PlayableHouse& house, const py::array& spec) {
  const EpisodeSpec one = span_of<const EpisodeSpec>(spec, "spec", 1)[0];
  const sim::Cameras cameras = sim::draw_cameras(house.sim->robot, one);
  py::list out;
  for (std::size_t i = 0; i < house.sim->robot.cameras.size(); ++i) {
    out.append(py::make_tuple(cameras[i].pitch_deg, cameras[i].fov_deg));
  }
  return out;
}

}  // namespace

void bind_followed(py::module_& m) {
  PYBIND11_NUMPY_DTYPE(sim::ArmPose, lift, extension, wrist_yaw_deg);
  PYBIND11_NUMPY_DTYPE(Vec3, x, y, z);
  PYBIND11_NUMPY_DTYPE(sim::Displaced, object, center, yaw_deg);
  PYBIND11_NUMPY_DTYPE(Report, x, z, yaw_deg, arm, hand, held, num_moved, seen, manip_seen,
                       in_reach, collided, unused, moved);
  m.attr("REPORT_DTYPE") = py::dtype::of<Report>();
  m.def("look_seeds", &look_seeds, py::arg("spec"),
        "(material seed, light seed) that an episode draws, 0 for what stays; spec: [1].");
  m.def("camera_settings", &camera_settings, py::arg("house"), py::arg("spec"),
        "[(pitch, vertical field of view)] in degrees that an episode draws; spec: [1].");
  py::class_<FollowedWorlds>(m, "FollowedWorlds", "N worlds whose robots move in other simulators.")
      .def(py::init(&make), py::arg("houses"), py::arg("num_envs"))
      .def("check", &check, py::arg("env_ids"), py::arg("specs"))
      .def("prepare", &prepare, py::arg("spec"), "Finds ahead what leads to a goal; spec: [1].")
      .def("reset", &reset, py::arg("env_ids"), py::arg("specs"), py::arg("reports"),
           py::arg("facts"))
      .def("follow", &follow, py::arg("env_ids"), py::arg("actions"), py::arg("reports"),
           py::arg("facts"), "[n] whose report fits its house; the others are as they were.")
      .def("restore", &restore, py::arg("env_ids"), py::arg("states"), py::arg("reports"),
           py::arg("facts"))
      .def("save_state", &save_state)
      .def("expert_actions", &expert_actions);
}

}  // namespace flare::bindings
