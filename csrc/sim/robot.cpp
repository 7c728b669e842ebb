#include "sim/robot.hpp"

#include <algorithm>

#include "sim/json_node.hpp"

namespace flare::sim {
namespace {

constexpr double kFar = 5.0;  // m; no robot is larger

Vec3 read_vector(const JsonNode& node) {
  if (node.array_size() != 3) node.fail("needs 3 numbers", "write [x, y, z] in metres");
  const auto at = [&](std::size_t i) { return node.element(i).number(-kFar, kFar); };
  return {at(0), at(1), at(2)};
}

Limits read_limits(const JsonNode& node, double lowest, double highest) {
  if (node.array_size() != 2) node.fail("needs 2 numbers", "write [low, high]");
  const Limits limits = {node.element(0).number(lowest, highest),
                         node.element(1).number(lowest, highest)};
  if (limits.low > limits.high) node.fail("is not ordered", "write the lower limit first");
  return limits;
}

BodySpec read_body(const JsonNode& node) {
  return {node.field("radius").number(0.01, kFar), node.field("height").number(0.01, kFar),
          node.field("centre_offset").number(-kFar, kFar),
          node.field("reference_height").number(0.0, kFar)};
}

StepSpec read_steps(const JsonNode& node) {
  return {node.field("move").number(0.001, kFar), node.field("rotate").number(0.1, 180.0),
          node.field("rotate_small").number(0.1, 180.0)};
}

CameraMount read_camera(const JsonNode& node) {
  CameraMount camera;
  camera.position = read_vector(node.field("position"));
  camera.yaw_deg = node.field("yaw").number(-360.0, 360.0);
  camera.pitch_deg = node.field("pitch").number(-89.0, 89.0);
  camera.pitch_noise_deg = node.field("pitch_noise").number(0.0, 45.0);
  camera.fov_deg = node.field("fov").number(1.0, 150.0);
  camera.fov_noise_deg = node.field("fov_noise").number(0.0, 45.0);
  return camera;
}

ArmPose read_rest(const JsonNode& node, const ArmSpec& arm) {
  // The limits were rounded to single precision, a rest at one of them was not.
  const auto within = [&](const char* key, const Limits& limits) {
    const float value = node.field(key).number(limits.low - 1e-4, limits.high + 1e-4);
    return std::clamp(value, limits.low, limits.high);
  };
  return {within("lift", arm.lift), within("extension", arm.extension),
          within("wrist_yaw", arm.wrist_yaw)};
}

ArmSpec read_arm(const JsonNode& node) {
  ArmSpec arm;
  const auto length = [&](const char* key) { return node.field(key).number(0.0001, kFar); };
  arm.base = read_vector(node.field("base"));
  arm.yaw_deg = node.field("yaw").number(-360.0, 360.0);
  arm.lift = read_limits(node.field("lift"), -kFar, kFar);
  arm.extension = read_limits(node.field("extension"), 0.0, kFar);
  arm.wrist_yaw = read_limits(node.field("wrist_yaw"), -360.0, 360.0);
  arm.rest = read_rest(node.field("rest"), arm);
  arm.stowed_extension = node.field("stowed_extension").number(0.0, kFar);
  arm.step = length("step");
  arm.small_step = length("small_step");
  arm.wrist_step = node.field("wrist_step").number(0.1, 180.0);
  arm.least_change = node.field("least_change").number(0.0, kFar);
  arm.least_turn = node.field("least_turn").number(0.0, 180.0);
  arm.radius = node.field("radius").number(0.005, 0.1);
  arm.hand_length = length("hand_length");
  arm.grasp_radius = length("grasp_radius");
  return arm;
}

}  // namespace

std::shared_ptr<const RobotSpec> RobotSpec::from_json(std::string_view json,
                                                      const std::string& source) {
  const nlohmann::json document = parse_json(json, source);
  const JsonNode root(document, source);
  auto robot = std::make_shared<RobotSpec>();
  robot->name = root.field("name").string();
  robot->body = read_body(root.field("body"));
  robot->steps = read_steps(root.field("steps"));
  const JsonNode cameras = root.field("cameras");
  robot->cameras.push_back(read_camera(cameras.field("navigation")));
  if (const auto second = cameras.find("manipulation")) {
    robot->cameras.push_back(read_camera(*second));
  }
  if (const auto arm = root.find("arm")) robot->arm = read_arm(*arm);
  const Vec3 rgb = read_vector(root.field("color"));
  robot->color = {rgb.x, rgb.y, rgb.z};
  const JsonNode actions = root.field("actions");
  for (std::size_t i = 0; i < actions.array_size(); ++i) {
    const JsonNode name = actions.element(i);
    const auto found = std::find(kActionNames.begin(), kActionNames.end(), name.string());
    if (found == kActionNames.end()) {
      name.fail("'" + name.string() + "' is no action",
                "use the names of flare.specs.ACTION_NAMES");
    }
    robot->has_action[static_cast<std::size_t>(found - kActionNames.begin())] = true;
  }
  return robot;
}

}  // namespace flare::sim
