// From where a target can be looked at: near enough, inside the navigation camera's vertical angle,
// with no wall and no larger object between. A geometric estimate that decides where walks end;
// whether a target is visible is decided by pixels.
#pragma once

#include <vector>

#include "sim/collision.hpp"
#include "sim/house.hpp"

namespace flare::sim {

class TargetSight {
 public:
  /// @param object  index into house.objects  @param reach  m, horizontal, to the object's box
  TargetSight(const House& house, const CollisionMap& collision, const RobotSpec& robot, int object,
              float reach);

  [[nodiscard]] const Bounds& area() const { return area_; }  // no point outside it qualifies
  /// Is the box within reach of a body at `point` that faces it, with no wall between and not
  /// shut inside another object?
  [[nodiscard]] bool in_reach(Vec2 point) const;
  /// in_reach, and also inside the camera's vertical angle?
  [[nodiscard]] bool in_view(Vec2 point) const;
  /// in_view, and also not hidden behind an object?
  [[nodiscard]] bool seen_from(Vec2 point) const;

 private:
  struct Occluder {
    Footprint box;
    float y0, y1;
  };
  [[nodiscard]] bool hidden(Vec2 from, Vec2 to) const;

  float eye_height_, eye_ahead_;        // m; ahead of the body's disc, facing the target
  float lowest_slope_, highest_slope_;  // tangents of what the camera sees
  Footprint box_;
  float y0_, y1_;  // m, of the target's box
  float reach_;
  Bounds area_;
  bool is_enclosed_ = false;    // inside another object's closed body
  std::vector<Segment> walls_;  // those near enough to cut a line of sight
  std::vector<Occluder> occluders_;
};

}  // namespace flare::sim
