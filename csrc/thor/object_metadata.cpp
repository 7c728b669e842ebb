#include "thor/object_metadata.hpp"

#include <algorithm>
#include <cmath>

namespace flare::thor {
namespace {

/// Objaverse's objects have no type of AI2-THOR's list.
bool is_objaverse(const sim::Object& object) { return object.id.starts_with("Obja"); }

float yaw_now(const Simulator& s, std::int32_t index, const sim::Object& object) {
  if (index == s.things.held) {
    return sim::positive_degrees(hand_of(s.robot(), s.pose).yaw_deg + s.things.held_yaw_deg);
  }
  const sim::Displaced* entry = s.things.find(index);
  return entry != nullptr ? entry->yaw_deg : object.rotation_deg.y;
}

/// As it was put there: a box's faces do not give its centre back to the last digit.
Vec3 center_now(const Simulator& s, std::int32_t index, const sim::Object& object,
                const sim::Solid& box) {
  if (index == s.things.held) {
    return {box.base.centre.x, 0.5F * (box.y0 + box.y1), box.base.centre.z};
  }
  const sim::Displaced* entry = s.things.find(index);
  return entry != nullptr ? entry->center : object.center;
}

void write_flags(MsgpackWriter& out, const sim::Object& object, bool is_held) {
  out.entry("receptacle", false);
  out.entry_nil("receptacleObjectIds");
  out.entry_nil("parentReceptacles");
  out.entry("pickupable", object.pickupable);
  out.entry("isPickedUp", is_held);
  out.entry("moveable", !object.pickupable && !object.kinematic);
  for (const char* key : {"openable", "isOpen", "toggleable", "isToggled", "breakable", "isBroken",
                          "canFillWithLiquid", "isFilledWithLiquid", "dirtyable", "isDirty",
                          "canBeUsedUp", "isUsedUp", "cookable", "isCooked", "isHeatSource",
                          "isColdSource", "sliceable", "isSliced", "isMoving"}) {
    out.entry(key, false);
  }
  out.entry("openness", 0.0F);
  out.entry_nil("fillLiquid");
  out.entry("temperature", "RoomTemp");
  out.entry_nil("salientMaterials");
  out.entry_nil("controlledObjects");
}

void write_corners(MsgpackWriter& out, const std::array<Vec3, 8>& corners) {
  out.text("cornerPoints");
  out.list(8);
  for (const Vec3 corner : corners) out.triple(corner);
}

std::array<Vec3, 8> corners_of(Vec3 center, Vec3 x, Vec3 y, Vec3 z) {
  std::array<Vec3, 8> corners;
  for (unsigned i = 0; i < 8; ++i) {
    const auto side = [i](unsigned bit) { return (i >> bit & 1U) != 0 ? 1.0F : -1.0F; };
    corners[i] = center + x * side(0) + y * side(1) + z * side(2);
  }
  return corners;
}

}  // namespace

ObjectView::ObjectView(const Simulator& s, std::int32_t index_in)
    : object(s.house().sim->house.objects[static_cast<std::size_t>(index_in)]),
      index(index_in),
      box(current_box(s.surroundings(), s.pose, index_in)),
      yaw_deg(yaw_now(s, index_in, object)),
      center_(center_now(s, index_in, object, box)) {}

Vec3 ObjectView::center() const { return center_; }

Vec3 ObjectView::aligned_size() const {
  const sim::Bounds bounds = bounds_of(box.base);
  return {bounds.max.x - bounds.min.x, box.y1 - box.y0, bounds.max.z - bounds.min.z};
}

std::array<Vec3, 8> ObjectView::corners() const {
  const Vec2 axis = box.base.axis;
  return corners_of(center(), Vec3{axis.x, 0.0F, axis.z} * box.base.half.x,
                    {0.0F, 0.5F * (box.y1 - box.y0), 0.0F},
                    Vec3{-axis.z, 0.0F, axis.x} * box.base.half.z);
}

std::string ObjectView::reported_type() const {
  return is_objaverse(object) ? "Undefined" : object.type;
}

float distance_to_agent(const Simulator& s, const ObjectView& view) {
  const Vec2 here = s.pose.position;
  return length(closest_point(view.box.base, here) - here);
}

void write_object(MsgpackWriter& out, const Simulator& s, const ObjectView& view, bool is_visible) {
  const sim::Object& object = view.object;
  const bool is_held = view.index == s.things.held;
  out.map(42);
  out.entry("name", object.id);
  out.entry("objectId", object.id);
  out.entry("objectType", view.reported_type());
  out.entry("assetId", object.asset_id);
  out.entry("position", view.center());
  out.entry("rotation", Vec3{object.rotation_deg.x, view.yaw_deg, object.rotation_deg.z});
  out.entry("visible", is_visible);
  out.entry("isInteractable", is_visible);
  out.entry("distance", distance_to_agent(s, view));
  out.entry("mass", object.pickupable ? 0.5F : 20.0F);
  write_flags(out, object, is_held);
  out.text("axisAlignedBoundingBox");
  out.map(3);
  const Vec3 half = view.aligned_size() * 0.5F;
  out.entry("center", view.center());
  out.entry("size", view.aligned_size());
  write_corners(out, corners_of(view.center(), {half.x, 0, 0}, {0, half.y, 0}, {0, 0, half.z}));
  // Unity gives the turned box of what can be moved only.
  if (object.pickupable || !object.kinematic) {
    out.text("objectOrientedBoundingBox");
    out.map(1);
    write_corners(out, view.corners());
  } else {
    out.entry_nil("objectOrientedBoundingBox");
  }
}

}  // namespace flare::thor
