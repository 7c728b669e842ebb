#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "bindings/bind.hpp"
#include "bindings/numpy_view.hpp"
#include "bindings/robot.hpp"
#include "env/batch_env.hpp"
#include "env/moved_objects.hpp"
#include "sim/action.hpp"

namespace py = pybind11;

namespace flare::bindings {
namespace {

using env::BatchEnv;
using env::PlayableHouse;
using sim::EpisodeSpec;
using sim::Facts;
using sim::WorldState;

/// A saved state is a row of bytes to Python: tensors and files take them without knowing more.
constexpr auto kStateBytes = static_cast<py::ssize_t>(sizeof(WorldState));

env::StepOutputs outputs_of(const BatchEnv& self, const py::array& frames, const py::array& facts) {
  const auto& c = self.config();
  const auto n = static_cast<std::size_t>(c.num_envs);
  const auto cameras = static_cast<std::size_t>(c.num_cameras);
  const auto height = static_cast<std::size_t>(c.height);
  const auto width = static_cast<std::size_t>(c.width);
  return {view_of<std::uint8_t, 5>(frames, "frames", {n, cameras, height, width, 3}).data(),
          span_of<Facts>(facts, "facts", n).data()};
}

/// The number of rows of a one-dimensional argument that decides how long its siblings must be.
std::size_t rows_of(const py::array& array, const char* name) {
  return shape_of<1>(array, name)[0];
}

void reset(BatchEnv& self, const py::array& env_ids, const py::array& specs,
           const py::array& frames, const py::array& facts) {
  const std::size_t n = rows_of(env_ids, "env_ids");
  const auto ids = span_of<const std::int32_t>(env_ids, "env_ids", n);
  const auto starts = span_of<const EpisodeSpec>(specs, "specs", n);
  const auto out = outputs_of(self, frames, facts);
  const py::gil_scoped_release unlocked;
  self.reset(ids, starts, out);
}

void step(BatchEnv& self, const py::array& actions, const py::array& frames, const py::array& facts,
          const std::optional<py::array>& draw) {
  const auto ids = span_of<const std::int32_t>(actions, "actions",
                                               static_cast<std::size_t>(self.config().num_envs));
  const auto out = outputs_of(self, frames, facts);
  std::span<const std::uint8_t> wanted;
  if (draw) wanted = span_of<const std::uint8_t>(*draw, "draw", ids.size());
  const py::gil_scoped_release unlocked;
  self.step(ids, wanted, out);
}

py::array_t<std::int32_t> expert_actions(BatchEnv& self) {
  py::array_t<std::int32_t> actions(self.config().num_envs);
  const std::span<std::int32_t> view(actions.mutable_data(),
                                     static_cast<std::size_t>(actions.size()));
  const py::gil_scoped_release unlocked;
  self.expert_actions(view);
  return actions;
}

py::tuple render(BatchEnv& self, const py::array& env_ids, int camera, int width, int height,
                 bool depth, bool ids) {
  const std::size_t n = rows_of(env_ids, "env_ids");
  const auto rows = span_of<const std::int32_t>(env_ids, "env_ids", n);
  if (width < 1 || height < 1) {
    throw ShapeError("width, height: expected positive numbers, got " + std::to_string(width) +
                     " and " + std::to_string(height));
  }
  const auto count = static_cast<py::ssize_t>(n);
  py::array_t<std::uint8_t> rgb({count, py::ssize_t{height}, py::ssize_t{width}, py::ssize_t{3}});
  py::object depth_out = py::none();
  py::object ids_out = py::none();
  float* depth_data = nullptr;
  std::uint16_t* ids_data = nullptr;
  if (depth) {
    py::array_t<float> array({count, py::ssize_t{height}, py::ssize_t{width}});
    depth_data = array.mutable_data();
    depth_out = std::move(array);
  }
  if (ids) {
    py::array_t<std::uint16_t> array({count, py::ssize_t{height}, py::ssize_t{width}});
    ids_data = array.mutable_data();
    ids_out = std::move(array);
  }
  std::uint8_t* rgb_data = rgb.mutable_data();
  {
    const py::gil_scoped_release unlocked;
    self.render(rows, camera, width, height, rgb_data, depth_data, ids_data);
  }
  return py::make_tuple(rgb, depth_out, ids_out);
}

py::array_t<std::uint8_t> save_state(const BatchEnv& self) {
  const int n = self.config().num_envs;
  py::array_t<std::uint8_t> out({py::ssize_t{n}, kStateBytes});
  for (int env = 0; env < n; ++env) {
    const WorldState state = self.state(env);
    std::memcpy(out.mutable_data(env, 0), &state, sizeof(WorldState));
  }
  return out;
}

void restore(BatchEnv& self, const py::array& env_ids, const py::array& states,
             const py::array& frames, const py::array& facts) {
  const std::size_t n = rows_of(env_ids, "env_ids");
  const auto ids = span_of<const std::int32_t>(env_ids, "env_ids", n);
  const auto rows = view_of<const std::uint8_t, 2>(states, "states", {n, sizeof(WorldState)});
  std::vector<WorldState> copies(n);  // bytes need not be aligned
  std::memcpy(copies.data(), rows.data(), rows.size());
  const auto out = outputs_of(self, frames, facts);
  const py::gil_scoped_release unlocked;
  self.restore(ids, copies, out);
}

/// Where everything is that is not at home, as (object, (x, y, z), yaw_deg).
py::list moved_objects(const BatchEnv& self, std::int32_t env) {
  const sim::World& world = self.world(env);
  env::MovedObjects buffer;
  py::list out;
  for (const auto& entry : env::moved_objects(world.surroundings(), world.pose(), buffer)) {
    const Vec3 c = entry.center;
    out.append(py::make_tuple(entry.object, py::make_tuple(c.x, c.y, c.z), entry.yaw_deg));
  }
  return out;
}

std::vector<std::int32_t> arm_contacts(const BatchEnv& self, std::int32_t env) {
  const sim::World& world = self.world(env);
  return sim::arm_contacts(world.surroundings(), world.pose());
}

/// (offset, size) in a saved state of what a failed action changes.
py::list state_bookkeeping() {
  py::list out;
  const WorldState state;
  const auto add = [&](const auto& field) {
    const auto* const at = reinterpret_cast<const std::byte*>(&field);
    out.append(py::make_tuple(at - reinterpret_cast<const std::byte*>(&state), sizeof(field)));
  };
  add(state.step);
  add(state.last_action);
  add(state.stalled);
  add(state.plan);
  add(state.last_action_success);
  add(state.collided);
  add(state.sub_done_success);
  add(state.picked_up);
  add(state.dropped);
  return out;
}

py::tuple tuple_of(std::span<const std::string_view> names) {
  py::tuple out(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) out[i] = py::str(names[i].data(), names[i].size());
  return out;
}

std::unique_ptr<BatchEnv> make_env(const std::vector<PlayableHouse>& houses,
                                   const std::vector<PyRobot>& robots, int num_envs,
                                   int num_threads, int width, int height, int num_cameras) {
  env::Robots specs;
  for (const PyRobot& robot : robots) specs.push_back(robot.spec);
  const py::gil_scoped_release unlocked;
  return std::make_unique<BatchEnv>(
      houses, std::move(specs),
      env::BatchEnvConfig{num_envs, num_threads, width, height, num_cameras});
}

}  // namespace

void bind_env(py::module_& m) {
  PYBIND11_NUMPY_DTYPE(Facts, position, yaw_deg, travelled, step, last_action, last_action_success,
                       collided, target_visible, target_in_view, house, room, num_rooms,
                       num_targets, rooms_seen, target_distance, target_bearing_deg,
                       target_geodesic, path_bearing_deg, held_object, arm_lift, arm_extension,
                       wrist_yaw_deg, visible, distance, target_rooms, rooms_reported, task, goal,
                       robot, max_steps, rooms_left, time_left, room_distance, target_distance_3d,
                       target_hand_distance, hand, in_target_room, sub_done_success,
                       manip_target_visible, manip_target_in_view, target_in_reach, holds_target,
                       picked_up, dropped, manip_visible, in_reach);
  PYBIND11_NUMPY_DTYPE(EpisodeSpec, seed, target_rooms, house, robot, task, goal, max_steps,
                       num_targets, camera_noise, randomise, x, z, yaw_deg, unused, targets);
  m.attr("FACTS_DTYPE") = py::dtype::of<Facts>();
  m.attr("EPISODE_DTYPE") = py::dtype::of<EpisodeSpec>();
  m.attr("WORLD_STATE_BYTES") = kStateBytes;
  m.attr("STATE_BOOKKEEPING") = py::tuple(state_bookkeeping());
  m.attr("MAX_TARGETS") = sim::kMaxTargets;
  py::class_<PyRobot>(m, "Robot", "One robot's data, read. Immutable.")
      .def_static(
          "from_json",
          [](const std::string& text, const std::string& source) {
            return PyRobot{sim::RobotSpec::from_json(text, source)};
          },
          py::arg("text"), py::arg("source"),
          "Reads what flare.robots.RobotSpec.to_json writes; `source` names it in messages.")
      .def_property_readonly("name", [](const PyRobot& robot) { return robot.spec->name; });
  m.attr("MAX_ROOMS") = sim::kMaxRooms;
  m.attr("RANDOM_MATERIALS") = sim::kRandomMaterials;
  m.attr("RANDOM_LIGHTS") = sim::kRandomLights;
  m.attr("RANDOM_TEXTURES") = sim::kRandomTextures;
  m.attr("ACTION_NAMES") = tuple_of(sim::kActionNames);
  m.attr("GOALS") = tuple_of(sim::kGoalNames);

  py::class_<BatchEnv>(m, "BatchEnv", "N embedded worlds over a pool of threads.")
      .def(py::init(&make_env), py::arg("houses"), py::arg("robots"), py::kw_only(),
           py::arg("num_envs"), py::arg("num_threads"), py::arg("width"), py::arg("height"),
           py::arg("num_cameras"))
      .def_property_readonly("num_envs", [](const BatchEnv& e) { return e.config().num_envs; })
      .def_property_readonly("num_threads",
                             [](const BatchEnv& e) { return e.config().num_threads; })
      .def("reset", &reset, py::arg("env_ids"), py::arg("specs"), py::arg("frames"),
           py::arg("facts"))
      .def("step", &step, py::arg("actions"), py::arg("frames"), py::arg("facts"),
           py::arg("draw") = py::none())
      .def("expert_actions", &expert_actions)
      .def("render", &render, py::arg("env_ids"), py::arg("camera"), py::arg("width"),
           py::arg("height"), py::kw_only(), py::arg("depth") = false, py::arg("ids") = false)
      .def("moved_objects", &moved_objects, py::arg("env"),
           "What is not at home: the objects put down elsewhere, then the one in the hand.")
      .def("arm_contacts", &arm_contacts, py::arg("env"),
           "Indices of the solids that arm or load overlap; no motion adds to them.")
      .def("save_state", &save_state)
      .def("restore", &restore, py::arg("env_ids"), py::arg("states"), py::arg("frames"),
           py::arg("facts"));
}

}  // namespace flare::bindings
