#include "sim/loaded_house.hpp"

#include <utility>

#include "sim/polygon.hpp"

namespace flare::sim {

BodyMaps::BodyMaps(const House& house, const BodySpec& body)
    : collision(house, body), grid(house, collision, body) {}

SharedHouse::SharedHouse(House house_in) : house(std::move(house_in)), solids(house) {
  for (const Room& room : house.rooms) room_centroids.push_back(centroid(room.polygon));
}

std::shared_ptr<const BodyMaps> SharedHouse::maps(const BodySpec& body) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = maps_.find(body); found != maps_.end()) return found->second;
  }
  // Made without the lock: two threads may do the same work, never wait for each other's.
  auto made = std::make_shared<const BodyMaps>(house, body);
  const std::lock_guard lock(mutex_);
  return maps_.try_emplace(body, std::move(made)).first->second;
}

LoadedHouse::LoadedHouse(House house_in, std::shared_ptr<const RobotSpec> robot_in)
    : LoadedHouse(std::make_shared<const SharedHouse>(std::move(house_in)), std::move(robot_in)) {}

LoadedHouse::LoadedHouse(std::shared_ptr<const SharedHouse> shared_in,
                         std::shared_ptr<const RobotSpec> robot_in)
    : shared(std::move(shared_in)),
      robot_spec(std::move(robot_in)),
      maps(shared->maps(robot_spec->body)),
      house(shared->house),
      solids(shared->solids),
      collision(maps->collision),
      grid(maps->grid),
      robot(*robot_spec) {}

}  // namespace flare::sim
