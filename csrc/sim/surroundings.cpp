#include "sim/surroundings.hpp"

#include <algorithm>
#include <cmath>

namespace flare::sim {
namespace {

constexpr float kArmStep = 0.03F;    // m, no point of the arm moves farther in one sub-step
constexpr float kThinnest = 0.016F;  // m, least half extent of what is held, against such steps
constexpr float kContact = 0.005F;   // m, what is held may touch what it rests on
constexpr float kSamePlace = 1e-4F;  // m, a disc that comes nearer by less has stayed
constexpr std::size_t kBarPoints = 24;
constexpr std::size_t kHandPoints = 12;

/// Arm and hand as balls along their axes, no farther apart than their radius, and what is held.
struct ArmShape {
  std::array<Vec3, kBarPoints + kHandPoints> points;
  std::size_t num_points = 0;
  float radius = 0.0F;
  std::optional<Solid> held;

  void add_line(Vec3 from, Vec3 to, std::size_t most) {
    const Vec3 way = to - from;
    const auto wanted = static_cast<std::size_t>(std::ceil(length(way) / radius));
    const std::size_t count = std::min(wanted, most - 1);
    for (std::size_t i = 0; i <= count; ++i) {
      const float share = count == 0 ? 0.0F : static_cast<float>(i) / static_cast<float>(count);
      points[num_points++] = from + way * share;
    }
  }
  [[nodiscard]] bool touches(const Solid& solid) const {
    for (std::size_t i = 0; i < num_points; ++i) {
      if (distance_to(solid, points[i]) < radius) return true;
    }
    return false;
  }
};

/// What of the held object must be free: a little less than its box in height, and never too thin
/// for the sub-steps.
Solid solid_of_held(const Surroundings& around, const Pose& pose) {
  Solid box = current_box(around, pose, around.things.held);
  box.base.half = {std::max(box.base.half.x, kThinnest), std::max(box.base.half.z, kThinnest)};
  const float slack = std::min(kContact, 0.25F * (box.y1 - box.y0));
  box.y0 += slack;
  box.y1 -= slack;
  return box;
}

/// Bar and hand as their joints put them, with an empty hand.
ArmShape unfolded_shape(const RobotSpec& robot, const Pose& pose) {
  ArmShape shape;
  shape.radius = robot.arm->radius;
  const Vec3 wrist = wrist_of(robot, pose);
  shape.add_line(shoulder_of(robot, pose), wrist, kBarPoints);
  shape.add_line(wrist, hand_of(robot, pose).center, kHandPoints);
  return shape;
}

/// What of the arm can bump into something: all of it unless it is stowed, and what it holds.
ArmShape shape_of(const Surroundings& around, const Pose& pose) {
  const RobotSpec& robot = around.house.robot;
  if (!robot.arm) return {};
  ArmShape shape = is_stowed(robot, pose) ? ArmShape{} : unfolded_shape(robot, pose);
  if (around.things.held >= 0) shape.held = solid_of_held(around, pose);
  return shape;
}

bool is_gone(const Surroundings& around, const Solid& solid) {
  return solid.object >= 0 && around.things.is_away(solid.object);
}

/// Does the arm hit something that it does not touch at `start`?
bool hits(const Surroundings& around, const ArmShape& shape, const ArmShape& start) {
  const SolidMap& solids = around.house.solids;
  for (std::size_t i = 0; i < shape.num_points; ++i) {
    const Vec3 point = shape.points[i];
    for (const std::int32_t index : solids.near({point.x, point.z})) {
      const Solid& solid = solids.solid(index);
      if (distance_to(solid, point) >= shape.radius || is_gone(around, solid)) continue;
      if (!start.touches(solid)) return true;
    }
  }
  if (!shape.held) return false;
  const bool was_under_floor = start.held && start.held->y0 < 0.0F;
  if (shape.held->y0 < 0.0F && !was_under_floor) return true;
  return solids.any_near(shape.held->base, [&](const Solid& solid) {
    if (!overlaps(solid, *shape.held) || is_gone(around, solid)) return false;
    return !(start.held && overlaps(solid, *start.held));
  });
}

float mix(float a, float b, float share) { return a + (b - a) * share; }

Pose between(const Pose& from, const Pose& to, float share) {
  const float turn = wrap_degrees(to.yaw_deg - from.yaw_deg);
  return {from.position + (to.position - from.position) * share,
          positive_degrees(from.yaw_deg + turn * share),
          {mix(from.arm.lift, to.arm.lift, share), mix(from.arm.extension, to.arm.extension, share),
           mix(from.arm.wrist_yaw_deg, to.arm.wrist_yaw_deg, share)}};
}

/// How far from the wrist the arm's parts and what it holds reach, m.
float reach_beyond_wrist(const Surroundings& around) {
  const float hand = around.house.robot.arm->hand_length;
  if (around.things.held < 0) return hand;
  const Object& held = around.house.house.objects[static_cast<std::size_t>(around.things.held)];
  return hand + length(around.things.held_offset) + 0.5F * length(held.size);
}

/// No point of arm or load moves farther than this between two poses, m.
float longest_way(const Surroundings& around, const Pose& from, const Pose& to) {
  const ArmSpec& arm = *around.house.robot.arm;
  const float beyond = reach_beyond_wrist(around);
  const float radius = length(Vec2{arm.base.x, arm.base.z}) +
                       std::max(from.arm.extension, to.arm.extension) + beyond;
  const float turn = std::abs(wrap_degrees(to.yaw_deg - from.yaw_deg)) * kRadiansPerDegree;
  const float wrist = std::abs(to.arm.wrist_yaw_deg - from.arm.wrist_yaw_deg) * kRadiansPerDegree;
  return length(to.position - from.position) + turn * radius + wrist * beyond +
         std::abs(to.arm.lift - from.arm.lift) + std::abs(to.arm.extension - from.arm.extension);
}

bool is_arm_way_blocked(const Surroundings& around, const Pose& from, const Pose& to) {
  const RobotSpec& robot = around.house.robot;
  const bool is_folded = is_stowed(robot, from) && is_stowed(robot, to);
  if (!robot.arm || (is_folded && around.things.held < 0)) return false;
  const ArmShape start = shape_of(around, from);
  const int count =
      std::max(1, static_cast<int>(std::ceil(longest_way(around, from, to) / kArmStep)));
  for (int i = 1; i <= count; ++i) {
    const Pose pose =
        i == count ? to : between(from, to, static_cast<float>(i) / static_cast<float>(count));
    if (hits(around, shape_of(around, pose), start)) return true;
  }
  return false;
}

/// Is an object that was put down nearer to the disc's centre than `distance`?
bool is_displaced_within(const Surroundings& around, const Displaced& entry, Vec2 disc,
                         float distance) {
  const BodySpec& body = around.house.robot.body;
  const Solid box = box_of(around.house.house, entry.object, entry.center, entry.yaw_deg);
  return CollisionMap::is_in_band(body, box.y0, box.y1) &&
         length(closest_point(box.base, disc) - disc) < distance;
}

/// How near the disc may come to an object that was put down: the body's radius, or what it is now.
float allowed_distance(const Surroundings& around, const Displaced& entry, Vec2 disc) {
  const float radius = around.house.robot.body.radius;
  if (!is_displaced_within(around, entry, disc, radius)) return radius;
  const Solid box = box_of(around.house.house, entry.object, entry.center, entry.yaw_deg);
  return std::max(0.0F, length(closest_point(box.base, disc) - disc) - kSamePlace);
}

bool is_body_way_blocked(const Surroundings& around, Vec2 from, Vec2 to) {
  const BodySpec& body = around.house.robot.body;
  if (around.house.collision.sweep_blocked(from, to, body.radius, &around.things)) return true;
  const auto entries = around.things.entries();
  const int count =
      std::max(1, static_cast<int>(std::ceil(length(to - from) / (0.5F * body.radius))));
  return std::any_of(entries.begin(), entries.end(), [&](const Displaced& entry) {
    const float allowed = allowed_distance(around, entry, from);
    for (int i = 1; i <= count; ++i) {
      const float share = static_cast<float>(i) / static_cast<float>(count);
      const Vec2 disc = from + (to - from) * share;
      if (is_displaced_within(around, entry, disc, allowed)) return true;
    }
    return false;
  });
}

}  // namespace

Solid current_box(const Surroundings& around, const Pose& pose, std::int32_t object) {
  const House& house = around.house.house;
  if (object != around.things.held) return box_of(house, around.things, object);
  const Hand hand = hand_of(around.house.robot, pose);
  const Vec2 ahead = heading(hand.yaw_deg);
  const Vec3 offset = around.things.held_offset;
  const Vec3 center = {hand.center.x + ahead.z * offset.x + ahead.x * offset.z,
                       hand.center.y + offset.y,
                       hand.center.z - ahead.x * offset.x + ahead.z * offset.z};
  return box_of(house, object, center, positive_degrees(hand.yaw_deg + around.things.held_yaw_deg));
}

bool is_body_blocked(const Surroundings& around, const Pose& pose) {
  const BodySpec& body = around.house.robot.body;
  const Vec2 disc = disc_centre(body, pose);
  if (around.house.collision.blocked(disc, body.radius, &around.things)) return true;
  const auto entries = around.things.entries();
  return std::any_of(entries.begin(), entries.end(), [&](const Displaced& entry) {
    return is_displaced_within(around, entry, disc, body.radius);
  });
}

bool is_arm_in(const RobotSpec& robot, const Pose& pose, std::span<const Solid> solids) {
  if (solids.empty()) return false;
  const ArmShape shape = unfolded_shape(robot, pose);
  // Most are farther away than the disc that holds the whole arm: one look instead of one a ball.
  const auto flat = [&](std::size_t i) { return Vec2{shape.points[i].x, shape.points[i].z}; };
  const Vec2 middle = (flat(0) + flat(shape.num_points - 1)) * 0.5F;
  float farthest = 0.0F;
  for (std::size_t i = 0; i < shape.num_points; ++i) {
    farthest = std::max(farthest, length(flat(i) - middle));
  }
  const float within = farthest + shape.radius + kSamePlace;
  return std::any_of(solids.begin(), solids.end(), [&](const Solid& solid) {
    return length(closest_point(solid.base, middle) - middle) < within && shape.touches(solid);
  });
}

bool is_arm_blocked(const Surroundings& around, const Pose& pose) {
  return hits(around, shape_of(around, pose), ArmShape{});
}

std::vector<std::int32_t> arm_contacts(const Surroundings& around, const Pose& pose) {
  const ArmShape shape = shape_of(around, pose);
  const SolidMap& solids = around.house.solids;
  std::vector<std::int32_t> met;
  const auto note = [&](const Solid& solid, bool is_met) {
    if (!is_met || is_gone(around, solid)) return;
    met.push_back(static_cast<std::int32_t>(&solid - solids.all().data()));
  };
  for (std::size_t i = 0; i < shape.num_points; ++i) {
    const Vec3 point = shape.points[i];
    for (const std::int32_t index : solids.near({point.x, point.z})) {
      const Solid& solid = solids.solid(index);
      note(solid, distance_to(solid, point) < shape.radius);
    }
  }
  if (shape.held) {
    solids.any_near(shape.held->base, [&](const Solid& solid) {
      note(solid, overlaps(solid, *shape.held));
      return false;
    });
  }
  std::sort(met.begin(), met.end());
  met.erase(std::unique(met.begin(), met.end()), met.end());
  return met;
}

bool is_hand_free(const Surroundings& around, const Pose& pose) {
  const RobotSpec& robot = around.house.robot;
  return !is_stowed(robot, pose) || !hits(around, unfolded_shape(robot, pose), ArmShape{});
}

bool is_way_blocked(const Surroundings& around, const Pose& from, const Pose& to) {
  // A turn swings the disc along an arc of 0.11 m; its chord is what is swept.
  const BodySpec& body = around.house.robot.body;
  return is_body_way_blocked(around, disc_centre(body, from), disc_centre(body, to)) ||
         is_arm_way_blocked(around, from, to);
}

std::optional<Pose> moved(const Surroundings& around, const Pose& pose, Action action) {
  const auto target = target_pose(around.house.robot, pose, action);
  if (!target || is_way_blocked(around, pose, *target)) return std::nullopt;
  return target;
}

}  // namespace flare::sim
