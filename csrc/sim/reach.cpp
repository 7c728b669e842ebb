#include "sim/reach.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

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

/// How much farther than it has to be an object is from the hand that takes it, at most; less than
/// the hand sphere, since an arm moves in steps.
constexpr float kGraspShare = 0.9F;

std::pair<float, float> apart_from(const Solid& box, Vec3 hand) {
  const Vec3 middle = {box.base.centre.x, 0.5F * (box.y0 + box.y1), box.base.centre.z};
  return {distance_to(box, hand), length(middle - hand)};
}

float gap_between(float low_a, float high_a, float low_b, float high_b) {
  return std::max(low_a - high_b, low_b - high_a);
}

}  // namespace

TargetReach::TargetReach(const LoadedHouse& house, std::int32_t object)
    : house_(house.house),
      solids_(house.solids),
      robot_(house.robot),
      box_(box_of(house.house, Rearrangement{}, object)) {
  const ArmSpec& arm = *robot_.arm;
  const float slack = length(box_.base.half) + arm.grasp_radius;
  nearest_ = arm.extension.low + arm.hand_length - slack;
  farthest_ = arm.extension.high + arm.hand_length + slack;
  const Vec2 shoulder = {arm.base.x, arm.base.z - robot_.body.centre_offset};
  const float reach = length(shoulder) + farthest_;
  area_ = {box_.base.centre - Vec2{reach, reach}, box_.base.centre + Vec2{reach, reach}};
  add_levels();
  if (!levels_.empty()) add_rivals();
}

void TargetReach::add_levels() {
  const ArmSpec& arm = *robot_.arm;
  const float base_y = robot_.body.reference_height + arm.base.y;
  const std::array<float, 3> heights = {0.5F * (box_.y0 + box_.y1), box_.y1,
                                        box_.y1 + 0.7F * arm.grasp_radius};
  const Footprint ground = {
      (area_.min + area_.max) * 0.5F, (area_.max - area_.min) * 0.5F, {1.0F, 0.0F}};
  for (const float height : heights) {
    const float lift = std::clamp(height - base_y, arm.lift.low, arm.lift.high);
    const float hand_y = base_y + lift;
    const bool is_known = !levels_.empty() && levels_.back().lift == lift;
    if (is_known || gap_between(box_.y0, box_.y1, hand_y, hand_y) >= arm.grasp_radius) continue;
    std::vector<const Solid*> met;
    solids_.any_near(ground, [&](const Solid& solid) {
      const bool is_met = gap_between(solid.y0, solid.y1, hand_y, hand_y) <= arm.radius;
      if (is_met && overlaps(bounds_of(solid.base), area_)) met.push_back(&solid);
      return false;
    });
    std::sort(met.begin(), met.end());
    met.erase(std::unique(met.begin(), met.end()), met.end());
    levels_.push_back({lift, {}});
    for (const Solid* solid : met) levels_.back().solids.push_back(*solid);
  }
}

/// An object as near to the hand as this one is no farther from this one than twice that.
void TargetReach::add_rivals() {
  const float reach = 2.0F * robot_.arm->grasp_radius;
  const Bounds own = bounds_of(box_.base);
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(house_.objects.size()); ++i) {
    const Object& other = house_.objects[static_cast<std::size_t>(i)];
    const float half = 0.5F * length(Vec2{other.size.x, other.size.z});
    if (i == box_.object || !other.pickupable ||
        gap_between(own.min.x, own.max.x, other.center.x - half, other.center.x + half) > reach ||
        gap_between(own.min.z, own.max.z, other.center.z - half, other.center.z + half) > reach) {
      continue;
    }
    rivals_.push_back(box_of(house_, Rearrangement{}, i));
  }
}

/// As graspable_object says, with all but what is near left out.
bool TargetReach::takes(const Pose& pose, const Level& level) const {
  const Vec3 hand = hand_of(robot_, pose).center;
  const auto own = apart_from(box_, hand);
  if (own.first >= kGraspShare * robot_.arm->grasp_radius) return false;
  const bool is_nearest = std::all_of(rivals_.begin(), rivals_.end(), [&](const Solid& other) {
    return std::pair(own, box_.object) < std::pair(apart_from(other, hand), other.object);
  });
  return is_nearest && !is_arm_in(robot_, pose, level.solids);
}

std::optional<Pose> TargetReach::pose_at(Vec2 disc) const {
  if (levels_.empty()) return std::nullopt;
  const ArmSpec& arm = *robot_.arm;
  const auto aim = aim_at(robot_, disc, box_.base.centre);
  if (!aim || aim->along < nearest_ || aim->along > farthest_) return std::nullopt;
  Pose pose = standing(robot_, disc, aim->yaw_deg);
  pose.arm.wrist_yaw_deg = std::clamp(0.0F, arm.wrist_yaw.low, arm.wrist_yaw.high);
  for (const Level& level : levels_) {
    pose.arm.lift = level.lift;
    float tried = -1.0F;  // m, an extension: at its stop the arm is where it was
    for (const float depth : kDepths) {
      const float wanted = aim->along - depth - arm.hand_length;
      pose.arm.extension = std::clamp(wanted, arm.extension.low, arm.extension.high);
      if (pose.arm.extension != tried && takes(pose, level)) return pose;
      tried = pose.arm.extension;
    }
  }
  return std::nullopt;
}

GeodesicField field_to_reach(const LoadedHouse& house, std::span<const std::int32_t> objects) {
  std::vector<NavGrid::GoalCell> goals;
  for (std::size_t k = 0; k < objects.size(); ++k) {
    const TargetReach reach(house, objects[k]);
    house.grid.each_in(reach.area(), [&](std::int32_t cell, Vec2 place) {
      if (reach.pose_at(place)) goals.push_back({cell, static_cast<std::int8_t>(k)});
    });
  }
  return house.grid.field_to_goals(goals);
}

}  // namespace flare::sim
