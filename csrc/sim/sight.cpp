#include "sim/sight.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "sim/solids.hpp"

namespace flare::sim {
namespace {

constexpr float kSlab = 0.1F;  // m, thickness of a table's top

bool holds(const Object& object, Vec3 point) {
  const Vec2 flat = {point.x, point.z};
  return std::abs(point.y - object.center.y) <= 0.5F * object.size.y + 0.02F &&
         length(closest_point(footprint_of(object), flat) - flat) == 0.0F;
}

/// Does a closed body (a fridge, a safe) swallow the whole box, so that no camera ever sees it?
bool encloses(const House& house, std::int32_t index, const Object& target) {
  const Object& other = house.objects[static_cast<std::size_t>(index)];
  const bool is_closed = other.shape == Shape::kBox || other.shape == Shape::kCylinder;
  if (!is_closed || other.center.y - 0.5F * other.size.y > target.center.y - 0.5F * target.size.y ||
      !contains(footprint_of(other), footprint_of(target))) {
    return false;
  }
  const auto parts = parts_of(house, index);
  return !parts.empty() && parts[0].y1 >= target.center.y + 0.5F * target.size.y;
}

/// The part of the segment inside a footprint as fractions of its length; begin > end if none.
struct Range {
  float begin, end;
};

Range inside(const Footprint& box, Vec2 from, Vec2 to) {
  const Vec2 other = {-box.axis.z, box.axis.x};
  const Vec2 start = from - box.centre;
  const Vec2 way = to - from;
  const std::array<float, 2> s = {dot(start, box.axis), dot(start, other)};
  const std::array<float, 2> d = {dot(way, box.axis), dot(way, other)};
  const std::array<float, 2> half = {box.half.x, box.half.z};
  Range range = {0.0F, 1.0F};
  for (std::size_t i = 0; i < 2; ++i) {
    if (std::abs(d[i]) < 1e-6F) {
      if (std::abs(s[i]) > half[i]) return {1.0F, 0.0F};
      continue;
    }
    const float t0 = (-half[i] - s[i]) / d[i];
    const float t1 = (half[i] - s[i]) / d[i];
    range.begin = std::max(range.begin, std::min(t0, t1));
    range.end = std::min(range.end, std::max(t0, t1));
  }
  return range;
}

}  // namespace

TargetSight::TargetSight(const House& house, const CollisionMap& collision, const RobotSpec& robot,
                         int object, float reach)
    : reach_(reach) {
  const CameraMount& camera = robot.cameras[0];
  eye_height_ = robot.body.reference_height + camera.position.y;
  eye_ahead_ = camera.position.z - robot.body.centre_offset;
  // Less the noise of pitch and of half the field of view, and half a degree.
  const float half = 0.5F * (camera.fov_deg - camera.fov_noise_deg) - camera.pitch_noise_deg - 0.5F;
  lowest_slope_ = std::tan(-std::min(camera.pitch_deg + half, 89.0F) * kRadiansPerDegree);
  highest_slope_ = std::tan(-std::max(camera.pitch_deg - half, -89.0F) * kRadiansPerDegree);
  const Object& target = house.objects[static_cast<std::size_t>(object)];
  box_ = footprint_of(target);
  y0_ = target.center.y - 0.5F * target.size.y;
  y1_ = target.center.y + 0.5F * target.size.y;
  const float margin = reach + length(box_.half);
  area_ = {{box_.centre.x - margin, box_.centre.z - margin},
           {box_.centre.x + margin, box_.centre.z + margin}};
  for (const Segment& wall : collision.walls()) {
    const Bounds bounds = {{std::min(wall.a.x, wall.b.x), std::min(wall.a.z, wall.b.z)},
                           {std::max(wall.a.x, wall.b.x), std::max(wall.a.z, wall.b.z)}};
    if (overlaps(bounds, area_)) walls_.push_back(wall);
  }
  for (std::size_t i = 0; i < house.objects.size(); ++i) {
    const Object& other = house.objects[i];
    is_enclosed_ = is_enclosed_ || (static_cast<int>(i) != object &&
                                    encloses(house, static_cast<std::int32_t>(i), target));
    // What the target stands on or in, and what stands on the target, does not hide it for good.
    const bool related = static_cast<int>(i) == object || static_cast<int>(i) == target.parent ||
                         other.parent == object || holds(other, target.center);
    const float top = other.center.y + 0.5F * other.size.y;
    if (related || other.shape == Shape::kLamp || other.size.y < kSlab || top <= y0_) continue;
    const float bottom =
        other.shape == Shape::kTable ? top - kSlab : other.center.y - 0.5F * other.size.y;
    const Footprint box = footprint_of(other);
    const float size = length(box.half);
    if (length(box.centre - box_.centre) <= margin + size) occluders_.push_back({box, bottom, top});
  }
}

bool TargetSight::in_reach(Vec2 point) const {
  if (is_enclosed_) return false;
  const Vec2 nearest = closest_point(box_, point);
  if (length(nearest - point) > reach_) return false;
  const auto cut_to = [&](Vec2 end) {
    const Segment ray = {point, end};
    return std::any_of(walls_.begin(), walls_.end(),
                       [&](const Segment& wall) { return crosses(ray, wall); });
  };
  return !cut_to(box_.centre) || !cut_to(nearest);
}

bool TargetSight::hidden(Vec2 from, Vec2 to) const {
  const float end_y = 0.5F * (y0_ + y1_);
  return std::any_of(occluders_.begin(), occluders_.end(), [&](const Occluder& other) {
    const Range range = inside(other.box, from, to);
    if (range.begin >= range.end) return false;
    const float y_in = eye_height_ + (end_y - eye_height_) * range.begin;
    const float y_out = eye_height_ + (end_y - eye_height_) * range.end;
    return std::min(y_in, y_out) < other.y1 && std::max(y_in, y_out) > other.y0;
  });
}

bool TargetSight::in_view(Vec2 point) const {
  const float apart = std::max(0.05F, length(box_.centre - point) - eye_ahead_);
  if (y1_ - eye_height_ < lowest_slope_ * apart || y0_ - eye_height_ > highest_slope_ * apart) {
    return false;
  }
  return in_reach(point);
}

bool TargetSight::seen_from(Vec2 point) const {
  return in_view(point) && !hidden(point, box_.centre);
}

}  // namespace flare::sim
