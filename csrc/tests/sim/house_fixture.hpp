// Houses and robots that the simulator's tests share.
#pragma once

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "sim/house.hpp"
#include "sim/robot.hpp"

namespace flare::sim::testing {

/// Robots of the package; tests/robots/test_files.py compares the two forms.
inline std::shared_ptr<const RobotSpec> load_robot(const std::string& name) {
  std::ifstream file(std::string(FLARE_FIXTURES) + "/" + name + ".json");
  const std::string json{std::istreambuf_iterator<char>(file), {}};
  return RobotSpec::from_json(json, name);
}

inline std::shared_ptr<const RobotSpec> stretch() {
  static const auto robot = load_robot("stretch");
  return robot;
}

inline void add_room(House& house, Vec2 min, Vec2 max) {
  const int room = static_cast<int>(house.rooms.size());
  Room r;
  r.id = "room|" + std::to_string(room);
  r.type = "Bedroom";
  r.polygon = {{min.x, min.z}, {min.x, max.z}, {max.x, max.z}, {max.x, min.z}};
  for (std::size_t i = 0; i < 4; ++i) {
    Wall wall;
    wall.room = room;
    wall.p0 = r.polygon[i];
    wall.p1 = r.polygon[(i + 1) % 4];
    house.walls.push_back(wall);
  }
  house.rooms.push_back(std::move(r));
}

/// One room, 4 m by 4 m from the origin, walls 0 to 3: x = 0, z = 4, x = 4, z = 0.
inline House square_room() {
  House house;
  house.source = "square room";
  house.bounds = {{0, 0}, {4, 4}};
  add_room(house, {0, 0}, {4, 4});
  house.start = {{2, 0.95F, 2}, 0};
  return house;
}

/// Two such rooms side by side in x, with a door of the given z range in the wall x = 4.
inline House two_rooms(float z0, float z1, bool passable = true) {
  House house = square_room();
  house.source = "two rooms";
  add_room(house, {4, 0}, {8, 4});  // walls 4 to 7, wall 4 is x = 4 from z = 0 to 4
  house.bounds.max = {8, 4};
  Opening door;
  door.room0 = 0;
  door.room1 = 1;
  door.wall0 = 2;  // runs from (4, 4) to (4, 0)
  door.wall1 = 4;
  door.x0 = 4 - z1;
  door.x1 = 4 - z0;
  door.y1 = 2;
  door.passable = passable;
  house.openings.push_back(door);
  return house;
}

inline int add_box(House& house, Vec3 center, Vec3 size, float yaw_deg = 0) {
  Object object;
  object.id = "Box|" + std::to_string(house.objects.size());
  object.type = "Box";
  object.center = center;
  object.size = size;
  object.rotation_deg.y = yaw_deg;
  object.color = {0.9F, 0.2F, 0.1F};
  house.objects.push_back(object);
  return static_cast<int>(house.objects.size()) - 1;
}

}  // namespace flare::sim::testing
