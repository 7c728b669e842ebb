// One robot as data: body, steps, cameras, arm and actions. Comes from a file (flare/robots), so
// nothing of any robot is written in the code.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/geometry.hpp"
#include "sim/action.hpp"
#include "sim/house.hpp"

namespace flare::sim {

inline constexpr int kMaxCameras = 2;

/// A disc that reaches from the floor to a height.
struct BodySpec {
  float radius = 0.0F;            // m
  float height = 0.0F;            // m
  float centre_offset = 0.0F;     // m along the heading, from the reference point to the disc
  float reference_height = 0.0F;  // m, y of the agent's reference point

  friend auto operator<=>(const BodySpec&, const BodySpec&) = default;
};

struct StepSpec {
  float move = 0.0F;          // m
  float rotate = 0.0F;        // degrees
  float rotate_small = 0.0F;  // degrees
};

/// Where a camera sits, relative to the reference point: x right, y up, z ahead.
struct CameraMount {
  Vec3 position;                 // m
  float yaw_deg = 0.0F;          // relative to the heading
  float pitch_deg = 0.0F;        // middle of what is drawn, positive looks down
  float pitch_noise_deg = 0.0F;  // half the range
  float fov_deg = 0.0F;          // vertical, middle
  float fov_noise_deg = 0.0F;
};

struct Limits {
  float low = 0.0F;
  float high = 0.0F;
};

/// The joints of an arm: up and down, out and in, and a wrist that turns the hand about y.
struct ArmPose {
  float lift = 0.0F;       // m above the arm's base
  float extension = 0.0F;  // m from the arm's base to the wrist
  float wrist_yaw_deg = 0.0F;
};

/// An arm of a lift, a telescope and a wrist. Its solid parts are the bar from its base to the
/// wrist and the hand from there to the centre of the hand sphere, both of one radius.
struct ArmSpec {
  Vec3 base;             // m, of lift 0 and extension 0, from the reference point
  float yaw_deg = 0.0F;  // direction it extends in, relative to the heading
  Limits lift;           // m
  Limits extension;      // m
  Limits wrist_yaw;      // degrees; what lies outside is the forbidden zone
  ArmPose rest;          // at the start of an episode
  // m; with an empty hand and no farther out the arm is folded along the body and touches nothing
  float stowed_extension = 0.0F;
  float step = 0.0F, small_step = 0.0F;  // m, of lift and extension
  float wrist_step = 0.0F;               // degrees
  float least_change = 0.0F;             // m, a lift or extension that changes less has failed
  float least_turn = 0.0F;               // degrees, the same of the wrist
  float radius = 0.0F;                   // m, of bar and hand
  float hand_length = 0.0F;              // m, wrist to the centre of the hand sphere
  float grasp_radius = 0.0F;             // m, of the hand sphere
};

struct RobotSpec {
  std::string name;
  BodySpec body;
  StepSpec steps;
  std::vector<CameraMount> cameras;  // 1 or 2: navigation, manipulation
  std::optional<ArmSpec> arm;
  std::array<bool, kNumActions> has_action{};
  Color color;  // of arm and hand

  /// @param json    as flare.robots.RobotSpec.to_json writes it
  /// @param source  names the file in messages
  /// Throws HouseFormatError for a missing key or a value out of its range.
  static std::shared_ptr<const RobotSpec> from_json(std::string_view json,
                                                    const std::string& source);
};

}  // namespace flare::sim
