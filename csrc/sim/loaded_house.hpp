// A house with what is derived from it: once for all robots, once per body, and what one robot
// sees of both.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "sim/collision.hpp"
#include "sim/house.hpp"
#include "sim/nav_grid.hpp"
#include "sim/robot.hpp"
#include "sim/solids.hpp"

namespace flare::sim {

/// What a body of some size meets in a house. Immutable.
struct BodyMaps {
  CollisionMap collision;
  NavGrid grid;
  BodyMaps(const House& house, const BodySpec& body);
};

/// The part of a loaded house that all robots share. Immutable but for the maps of bodies, which
/// are made when they are first asked for.
class SharedHouse {
 public:
  explicit SharedHouse(House house_in);

  const House house;
  const SolidMap solids;
  std::vector<Vec2> room_centroids;  // [num_rooms]

  /// Safe from several threads.
  std::shared_ptr<const BodyMaps> maps(const BodySpec& body) const;

 private:
  mutable std::mutex mutex_;
  mutable std::map<BodySpec, std::shared_ptr<const BodyMaps>> maps_;  // guarded by mutex_
};

/// A house as one robot plays in it. Immutable, shared by all worlds of that robot.
struct LoadedHouse {
  LoadedHouse(House house_in, std::shared_ptr<const RobotSpec> robot_in);
  LoadedHouse(std::shared_ptr<const SharedHouse> shared_in,
              std::shared_ptr<const RobotSpec> robot_in);

  std::shared_ptr<const SharedHouse> shared;
  std::shared_ptr<const RobotSpec> robot_spec;
  std::shared_ptr<const BodyMaps> maps;

  const House& house;
  const SolidMap& solids;
  const CollisionMap& collision;
  const NavGrid& grid;
  const RobotSpec& robot;
};

}  // namespace flare::sim
