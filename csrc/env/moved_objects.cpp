#include "env/moved_objects.hpp"

namespace flare::env {

std::span<const render::MovedObject> moved_objects(const sim::Surroundings& around,
                                                   const sim::Pose& pose, MovedObjects& buffer) {
  const sim::Rearrangement& things = around.things;
  std::size_t count = 0;
  for (const sim::Displaced& entry : things.entries()) {
    buffer[count++] = {entry.object, entry.center, entry.yaw_deg};
  }
  if (things.held >= 0) {
    const sim::Solid box = current_box(around, pose, things.held);
    const float yaw = hand_of(around.house.robot, pose).yaw_deg + things.held_yaw_deg;
    buffer[count++] = {things.held,
                       {box.base.centre.x, 0.5F * (box.y0 + box.y1), box.base.centre.z},
                       sim::positive_degrees(yaw)};
  }
  return {buffer.data(), count};
}

}  // namespace flare::env
