// From where an arm can take an object: the places and postures that a walk to grasp ends at.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sim/surroundings.hpp"

namespace flare::sim {

/// From where one object can be taken while everything is at home. What that needs of the house is
/// gathered once, so that a place is cheap to ask for.
class TargetReach {
 public:
  /// @pre the house's robot has an arm. Refers to the house.
  TargetReach(const LoadedHouse& house, std::int32_t object);

  [[nodiscard]] const Bounds& area() const { return area_; }  // no place outside it qualifies

  /// A pose with the body's disc at `disc` in which the hand takes this object and no other
  /// (graspable_object), the arm free, the wrist straight and the heading a multiple of a small
  /// turn. The arm gets there by extending at that lift from its stowed place. Empty if there is
  /// none. @pre the disc is free there
  [[nodiscard]] std::optional<Pose> pose_at(Vec2 disc) const;

 private:
  /// A lift that brings the hand to the object, and what the arm could bump into there.
  struct Level {
    float lift;  // m
    std::vector<Solid> solids;
  };
  void add_levels();
  void add_rivals();
  [[nodiscard]] bool takes(const Pose& pose, const Level& level) const;

  const House& house_;
  const SolidMap& solids_;
  const RobotSpec& robot_;
  Solid box_;
  float nearest_, farthest_;  // m, of the box's middle along the arm
  Bounds area_;
  std::vector<Level> levels_;
  std::vector<Solid> rivals_;  // light objects that the hand may take instead
};

/// Distances to places with a TargetReach::pose_at of any of the objects.
GeodesicField field_to_reach(const LoadedHouse& house, std::span<const std::int32_t> objects);

}  // namespace flare::sim
