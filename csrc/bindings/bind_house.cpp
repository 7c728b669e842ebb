#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bind.hpp"
#include "bindings/robot.hpp"
#include "core/error.hpp"
#include "env/batch_env.hpp"
#include "sim/asset_library.hpp"
#include "sim/field_cache.hpp"
#include "sim/house_loader.hpp"

namespace py = pybind11;

namespace flare::bindings {
namespace {

using env::PlayableHouse;
using Library = std::shared_ptr<const sim::AssetLibrary>;

struct PyAssetLibrary {
  Library library;
};

struct PyAssetPack {
  std::shared_ptr<const render::AssetPack> pack;
};

const sim::House& plan(const PlayableHouse& house) { return house.sim->house; }

py::tuple tuple_of(Vec3 v) { return py::make_tuple(v.x, v.y, v.z); }
py::tuple tuple_of(sim::Color c) { return py::make_tuple(c.r, c.g, c.b); }

py::array_t<float> points_array(std::span<const Vec2> points) {
  py::array_t<float> out({static_cast<py::ssize_t>(points.size()), py::ssize_t{2}});
  auto view = out.mutable_unchecked<2>();
  for (std::size_t i = 0; i < points.size(); ++i) {
    view(static_cast<py::ssize_t>(i), 0) = points[i].x;
    view(static_cast<py::ssize_t>(i), 1) = points[i].z;
  }
  return out;
}

template <typename T>
py::array_t<T> vector_array(std::span<const T> values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

PlayableHouse load(const std::string& json, const std::string& source,
                   const PyAssetLibrary& library, const PyRobot& robot,
                   const std::optional<PyAssetPack>& pack) {
  const py::gil_scoped_release unlocked;  // houses are loaded by several Python threads at once
  auto loaded = std::make_shared<const sim::LoadedHouse>(
      sim::load_house(json, source, *library.library), robot.spec);
  auto scene = render::Scene::build(loaded->house, pack ? pack->pack : nullptr);
  return {std::move(loaded), std::move(scene)};
}

py::list rooms(const PlayableHouse& house) {
  py::list out;
  for (const sim::Room& room : plan(house).rooms) {
    py::dict item;
    item["id"] = room.id;
    item["type"] = room.type;
    item["polygon"] = points_array(room.polygon);
    item["color"] = tuple_of(room.floor);
    out.append(std::move(item));
  }
  return out;
}

/// [W, 4] x0, z0, x1, z1 of every wall with geometry.
py::array_t<float> walls(const PlayableHouse& house) {
  std::vector<float> ends;
  for (const sim::Wall& wall : plan(house).walls) {
    if (!wall.empty) ends.insert(ends.end(), {wall.p0.x, wall.p0.z, wall.p1.x, wall.p1.z});
  }
  py::array_t<float> out({static_cast<py::ssize_t>(ends.size() / 4), py::ssize_t{4}});
  std::copy(ends.begin(), ends.end(), out.mutable_data());
  return out;
}

py::list openings(const PlayableHouse& house) {
  py::list out;
  for (const sim::Opening& opening : plan(house).openings) {
    const sim::Wall& wall = plan(house).walls[static_cast<std::size_t>(opening.wall0)];
    const Vec2 along = wall.p1 - wall.p0;
    const float scale = 1.0F / length(along);
    const Vec2 a = wall.p0 + along * (opening.x0 * scale);
    const Vec2 b = wall.p0 + along * (opening.x1 * scale);
    py::dict item;
    item["id"] = opening.id;
    item["kind"] = opening.kind == sim::OpeningKind::kDoor ? "door" : "window";
    item["rooms"] = py::make_tuple(opening.room0, opening.room1);
    item["ends"] = py::make_tuple(a.x, a.z, b.x, b.z);
    item["height"] = py::make_tuple(opening.y0, opening.y1);
    item["passable"] = opening.passable;
    py::list leaves;
    for (const sim::DoorLeaf& leaf : opening.leaves) {
      leaves.append(py::make_tuple(leaf.hinge.x, leaf.hinge.z, leaf.tip.x, leaf.tip.z));
    }
    item["leaves"] = std::move(leaves);
    out.append(std::move(item));
  }
  return out;
}

py::list objects(const PlayableHouse& house) {
  py::list out;
  for (const sim::Object& object : plan(house).objects) {
    py::dict item;
    item["id"] = object.id;
    item["type"] = object.type;
    item["asset_id"] = object.asset_id;
    item["category"] = object.category;
    item["center"] = tuple_of(object.center);
    item["size"] = tuple_of(object.size);
    item["yaw_deg"] = object.rotation_deg.y;
    item["room"] = object.room;
    item["parent"] = object.parent;
    item["pickupable"] = object.pickupable;
    item["on_wall"] = object.on_wall;
    item["color"] = tuple_of(object.color);
    out.append(std::move(item));
  }
  return out;
}

using MaybeRobot = std::optional<PyRobot>;

/// The house as a robot sees it, by default the one it was loaded for.
sim::LoadedHouse seen_by(const PlayableHouse& house, const MaybeRobot& robot) {
  return {house.sim->shared, robot ? robot->spec : house.sim->robot_spec};
}

sim::Goal goal_of(const std::string& name) {
  const auto found = std::find(sim::kGoalNames.begin(), sim::kGoalNames.end(), name);
  if (found == sim::kGoalNames.end() || name == "visit_rooms") {
    throw StateError("goal '" + name + "' leads to no one place; use see, hold or enter_room");
  }
  return static_cast<sim::Goal>(found - sim::kGoalNames.begin());
}

py::array_t<float> geodesic(const PlayableHouse& house, const std::vector<std::int32_t>& ids,
                            const std::string& goal_name, const MaybeRobot& robot) {
  const sim::Goal goal = goal_of(goal_name);
  const bool is_room = goal == sim::Goal::kEnterRoom;
  const std::size_t count = is_room
                                ? std::min<std::size_t>(plan(house).rooms.size(), sim::kMaxRooms)
                                : plan(house).objects.size();
  const std::string kind = is_room ? " rooms" : " objects";
  for (const std::int32_t id : ids) {
    if (id >= 0 && static_cast<std::size_t>(id) < count) continue;
    throw StateError(plan(house).source + (is_room ? ": room " : ": target ") + std::to_string(id) +
                     " is not one of the house's " + std::to_string(count) + kind);
  }
  sim::GeodesicField field;
  {
    const py::gil_scoped_release unlocked;
    field = sim::field_to_goal(seen_by(house, robot), goal, ids);
  }
  return vector_array<float>(field.distance);
}

void bind_library(py::module_& m) {
  py::class_<PyAssetLibrary>(m, "AssetLibrary",
                             "What is known of object kinds: sizes, shapes and colours.")
      .def_static(
          "from_json",
          [](const std::string& text, const std::string& pack_table) {
            return PyAssetLibrary{sim::AssetLibrary::from_json(text, pack_table)};
          },
          py::arg("text"), py::arg("pack_table") = "",
          "Reads the text of flare/assets/library.json and of the table beside an asset pack.")
      .def_property_readonly(
          "types",
          [](const PyAssetLibrary& self) {
            std::vector<std::string> types;
            for (const auto& category : self.library->categories()) types.push_back(category.type);
            return types;
          },
          "Names of the object types; an object's category is the index here.")
      .def(
          "size_of",
          [](const PyAssetLibrary& self, const std::string& asset_id) -> py::object {
            const Vec3* size = self.library->find_size(asset_id);
            if (size == nullptr) return py::none();
            return tuple_of(*size);
          },
          py::arg("asset_id"), "(x, y, z) in metres of an asset's box, None if unknown.")
      .def(
          "category",
          [](const PyAssetLibrary& self, const std::string& type) {
            const int index = self.library->find_category(type);
            if (index < 0) throw StateError("unknown object type '" + type + "'");
            const auto& category = self.library->categories()[static_cast<std::size_t>(index)];
            py::dict out;
            out["index"] = index;
            out["type"] = category.type;
            out["size"] = tuple_of(category.size);
            out["color"] = tuple_of(category.color);
            out["pickupable"] = category.pickupable;
            out["on_wall"] = category.on_wall;
            return out;
          },
          py::arg("type"), "Index, default size, colour and flags of a type.");
}

void bind_pack(py::module_& m) {
  py::class_<PyAssetPack>(m, "AssetPack", "Textured meshes of assets in a mapped file. Immutable.")
      .def_static(
          "open",
          [](const std::string& path) { return PyAssetPack{render::AssetPack::open(path)}; },
          py::arg("path"), "Maps a pack and checks its table.")
      .def("__len__", [](const PyAssetPack& self) { return self.pack->num_assets(); })
      .def(
          "__contains__",
          [](const PyAssetPack& self, const std::string& asset_id) {
            return self.pack->find(asset_id) >= 0;
          },
          py::arg("asset_id"))
      .def(
          "check",
          [](const PyAssetPack& self) {
            const py::gil_scoped_release unlocked;
            for (std::size_t i = 0; i < self.pack->num_assets(); ++i) (void)self.pack->load(i);
          },
          "Reads every asset; raises HouseFormatError naming the first that is damaged.");
}

}  // namespace

void bind_house(py::module_& m) {
  bind_library(m);
  bind_pack(m);
  py::class_<PlayableHouse>(m, "House", "A house ready to be played and drawn. Immutable.")
      .def_static("load", &load, py::arg("json"), py::arg("source"), py::arg("library"),
                  py::arg("robot"), py::arg("pack") = py::none(),
                  "Reads one house document; `source` names it in messages. Objects whose asset is "
                  "in the pack are drawn with its mesh. Drops the GIL.")
      .def_property_readonly("source", [](const PlayableHouse& h) { return plan(h).source; })
      .def_property_readonly("hash", [](const PlayableHouse& h) { return plan(h).hash; })
      .def_property_readonly("num_rooms",
                             [](const PlayableHouse& h) { return plan(h).rooms.size(); })
      .def_property_readonly("bounds",
                             [](const PlayableHouse& h) {
                               const sim::Bounds& b = plan(h).bounds;
                               return py::make_tuple(b.min.x, b.min.z, b.max.x, b.max.z);
                             })
      .def_property_readonly("start",
                             [](const PlayableHouse& h) {
                               const sim::AgentStart& s = plan(h).start;
                               return py::make_tuple(s.position.x, s.position.z, s.yaw_deg);
                             })
      .def("rooms", &rooms)
      .def("walls", &walls)
      .def("openings", &openings)
      .def("objects", &objects)
      .def(
          "reachable",
          [](const PlayableHouse& h, const MaybeRobot& robot) {
            return points_array(seen_by(h, robot).grid.cells());
          },
          py::arg("robot") = py::none())
      .def(
          "reachable_rooms",
          [](const PlayableHouse& h, const MaybeRobot& robot) {
            return vector_array<std::int32_t>(seen_by(h, robot).grid.rooms());
          },
          py::arg("robot") = py::none())
      .def("geodesic", &geodesic, py::arg("ids"), py::arg("goal") = "see",
           py::arg("robot") = py::none())
      .def(
          "blocked",
          [](const PlayableHouse& h, float x, float z, float yaw_deg, const MaybeRobot& robot) {
            const sim::LoadedHouse house = seen_by(h, robot);
            const sim::Pose pose = sim::start_pose(house.robot, {x, z}, yaw_deg);
            return house.collision.blocked(sim::disc_centre(house.robot.body, pose));
          },
          py::arg("x"), py::arg("z"), py::arg("yaw_deg"), py::arg("robot") = py::none())
      .def(
          "room_at",
          [](const PlayableHouse& h, float x, float z) { return sim::room_at(plan(h), {x, z}); },
          py::arg("x"), py::arg("z"));
}

}  // namespace flare::bindings
