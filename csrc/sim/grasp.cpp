#include "sim/grasp.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace flare::sim {
namespace {

constexpr float kOnTop = 0.02F;  // m, what is this near a top stands on it

Vec3 centre_of(const Solid& box) {
  return {box.base.centre.x, 0.5F * (box.y0 + box.y1), box.base.centre.z};
}

float yaw_of(const Surroundings& around, const Pose& pose, std::int32_t object) {
  if (object == around.things.held) {
    return positive_degrees(hand_of(around.house.robot, pose).yaw_deg + around.things.held_yaw_deg);
  }
  const Displaced* entry = around.things.find(object);
  if (entry != nullptr) return entry->yaw_deg;
  return around.house.house.objects[static_cast<std::size_t>(object)].rotation_deg.y;
}

/// Height of the highest surface below the middle of a box that it would meet falling down.
float surface_below(const Surroundings& around, const Solid& box) {
  const float middle = 0.5F * (box.y0 + box.y1);
  float highest = 0.0F;  // the floor
  const auto consider = [&](const Solid& other) {
    if (other.y1 <= highest || other.y1 > middle) return;
    if (overlaps(other.base, box.base)) highest = other.y1;
  };
  around.house.solids.any_near(box.base, [&](const Solid& solid) {
    const bool is_gone = solid.object >= 0 && around.things.is_away(solid.object);
    if (!is_gone && solid.object >= 0) consider(solid);
    return false;
  });
  const auto& objects = around.house.house.objects;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(objects.size()); ++i) {
    const bool is_light = objects[static_cast<std::size_t>(i)].pickupable;
    if (!is_light || i == box.object || i == around.things.held) continue;
    consider(box_of(around.house.house, around.things, i));
  }
  return highest;
}

/// Lets an object that is not held fall from where its box is; false without room to remember it.
bool settle(const LoadedHouse& house, Rearrangement& things, const Solid& box, float yaw_deg) {
  Vec3 center = centre_of(box);
  center.y = surface_below({house, things}, box) + 0.5F * (box.y1 - box.y0);
  return things.put({box.object, center, yaw_deg});
}

/// What stands on a box, or in the upper half of it, lowest first.
std::vector<Solid> standing_on(const Surroundings& around, const Solid& support) {
  std::vector<Solid> found;
  const auto& objects = around.house.house.objects;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(objects.size()); ++i) {
    if (i == support.object || i == around.things.held) continue;
    if (!objects[static_cast<std::size_t>(i)].pickupable) continue;
    const Solid box = box_of(around.house.house, around.things, i);
    const Vec2 centre = box.base.centre;
    const bool is_above = length(closest_point(support.base, centre) - centre) == 0.0F;
    const float middle = 0.5F * (support.y0 + support.y1);
    if (is_above && box.y0 >= middle && box.y0 <= support.y1 + kOnTop) found.push_back(box);
  }
  std::sort(found.begin(), found.end(), [](const Solid& a, const Solid& b) {
    return std::pair(a.y0, a.object) < std::pair(b.y0, b.object);
  });
  return found;
}

/// After an object was taken from `box`: what stood on it falls, and what stood on that.
bool settle_above(const Surroundings& before, const Solid& box, Rearrangement& things) {
  std::vector<Solid> falling = standing_on(before, box);
  for (std::size_t i = 0; i < falling.size(); ++i) {
    for (const Solid& next : standing_on(before, falling[i])) {
      const bool is_known = std::any_of(falling.begin(), falling.end(), [&](const Solid& other) {
        return other.object == next.object;
      });
      if (!is_known) falling.push_back(next);
    }
  }
  return std::all_of(falling.begin(), falling.end(), [&](const Solid& one) {
    return settle(before.house, things, one, yaw_of(before, {}, one.object));
  });
}

}  // namespace

std::int32_t graspable_object(const Surroundings& around, const Pose& pose) {
  if (!around.house.robot.arm) return -1;
  const Hand hand = hand_of(around.house.robot, pose);
  const auto& objects = around.house.house.objects;
  std::int32_t nearest = -1;
  std::pair<float, float> best = {around.house.robot.arm->grasp_radius, 0.0F};
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(objects.size()); ++i) {
    if (!objects[static_cast<std::size_t>(i)].pickupable || i == around.things.held) continue;
    const Solid box = box_of(around.house.house, around.things, i);
    // Boxes that both hold the hand's centre: the one whose middle is nearer.
    const std::pair distance = {distance_to(box, hand.center),
                                length(centre_of(box) - hand.center)};
    if (distance >= best) continue;
    best = distance;
    nearest = i;
  }
  return nearest >= 0 && is_hand_free(around, pose) ? nearest : -1;
}

bool pick_up(const LoadedHouse& house, const Pose& pose, Rearrangement& things) {
  if (things.held >= 0) return false;
  const Surroundings around = {house, things};
  const std::int32_t object = graspable_object(around, pose);
  if (object < 0) return false;
  const Solid box = box_of(house.house, things, object);
  Rearrangement after = things;
  attach(house, pose, object, after);
  if (!settle_above(around, box, after) || after.num_displaced >= kMaxDisplaced) return false;
  things = after;
  return true;
}

void attach(const LoadedHouse& house, const Pose& pose, std::int32_t object,
            Rearrangement& things) {
  const Surroundings around = {house, things};
  const Solid box = box_of(house.house, things, object);
  const Hand hand = hand_of(house.robot, pose);
  const float yaw = yaw_of(around, pose, object);
  // The offset in the hand's own frame: turned back by its yaw.
  const Vec2 ahead = heading(hand.yaw_deg);
  const Vec3 offset = centre_of(box) - hand.center;
  things.forget(object);
  things.held = object;
  things.held_offset = {ahead.z * offset.x - ahead.x * offset.z, offset.y,
                        ahead.x * offset.x + ahead.z * offset.z};
  things.held_yaw_deg = wrap_degrees(yaw - hand.yaw_deg);
}

bool drop(const LoadedHouse& house, const Pose& pose, Rearrangement& things) {
  if (things.held < 0) return false;
  const Surroundings around = {house, things};
  const Solid box = current_box(around, pose, things.held);
  const float yaw = yaw_of(around, pose, things.held);
  things.held = -1;
  things.held_offset = {};
  things.held_yaw_deg = 0.0F;
  return settle(house, things, box, yaw);  // there is room: pick_up left it
}

}  // namespace flare::sim
