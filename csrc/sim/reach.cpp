#include "sim/reach.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace flare::sim {
namespace {

constexpr std::array<float, 3> kDepths = {0.0F, 0.06F, 0.12F};  // m short of the object's middle

/// The way from the disc to a point at some distance, were the arm to point at it: the heading, and
/// how far along the arm the point then lies.
struct Aim {
  float yaw_deg;
  float along;  // m from the arm's base
};

std::optional<Aim> aim_at(const RobotSpec& robot, Vec2 disc, Vec2 point) {
  const ArmSpec& arm = *robot.arm;
  // In the body's frame (right, ahead) about the disc the arm is a ray from `base` along `way`.
  const Vec2 base = {arm.base.x, arm.base.z - robot.body.centre_offset};
  const Vec2 way = heading(arm.yaw_deg);
  const float apart = length(point - disc);
  const float shift = dot(base, way);
  const float square = apart * apart - dot(base, base) + shift * shift;
  if (square < 0.0F) return std::nullopt;
  const float along = std::sqrt(square) - shift;
  const Vec2 seen = base + way * along;
  const float own_bearing = std::atan2(seen.x, seen.z) / kRadiansPerDegree;
  const float step = robot.steps.rotate_small;
  const float yaw = std::round((bearing_deg(disc, point) - own_bearing) / step) * step;
  return Aim{positive_degrees(yaw), along};
}

/// The pose with the given heading whose disc is at `disc`.
Pose standing(const RobotSpec& robot, Vec2 disc, float yaw_deg) {
  return start_pose(robot, disc - heading(yaw_deg) * robot.body.centre_offset, yaw_deg);
}

}  // namespace

std::optional<Pose> reaching_pose(const Surroundings& around, Vec2 disc, std::int32_t object) {
  const RobotSpec& robot = around.house.robot;
  if (!robot.arm) return std::nullopt;
  const ArmSpec& arm = *robot.arm;
  const Solid box = box_of(around.house.house, around.things, object);
  const auto aim = aim_at(robot, disc, box.base.centre);
  const float shortest = arm.extension.low + arm.hand_length;
  const float longest = arm.extension.high + arm.hand_length;
  const float slack = length(box.base.half) + arm.grasp_radius;
  if (!aim || aim->along + slack < shortest || aim->along - slack > longest) return std::nullopt;
  Pose pose = standing(robot, disc, aim->yaw_deg);
  if (is_body_blocked(around, pose)) return std::nullopt;
  pose.arm.wrist_yaw_deg = std::clamp(0.0F, arm.wrist_yaw.low, arm.wrist_yaw.high);
  const float base_y = robot.body.reference_height + arm.base.y;
  const std::array<float, 3> heights = {0.5F * (box.y0 + box.y1), box.y1,
                                        box.y1 + 0.7F * arm.grasp_radius};
  for (const float height : heights) {
    pose.arm.lift = std::clamp(height - base_y, arm.lift.low, arm.lift.high);
    for (const float depth : kDepths) {
      const float wanted = aim->along - depth - arm.hand_length;
      pose.arm.extension = std::clamp(wanted, arm.extension.low, arm.extension.high);
      if (distance_to(box, hand_of(robot, pose).center) >= 0.9F * arm.grasp_radius) continue;
      if (!is_arm_blocked(around, pose)) return pose;
    }
  }
  return std::nullopt;
}

GeodesicField field_to_reach(const LoadedHouse& house, std::span<const std::int32_t> objects) {
  const Rearrangement nothing;
  const Surroundings around = {house, nothing};
  const auto cells = house.grid.cells();
  std::vector<NavGrid::GoalCell> goals;
  for (std::size_t k = 0; k < objects.size(); ++k) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (!reaching_pose(around, cells[i], objects[k])) continue;
      goals.push_back({static_cast<std::int32_t>(i), static_cast<std::int8_t>(k)});
    }
  }
  return house.grid.field_to_goals(goals);
}

}  // namespace flare::sim
