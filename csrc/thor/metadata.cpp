#include "thor/metadata.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "sim/grasp.hpp"
#include "thor/arm_frame.hpp"
#include "thor/object_metadata.hpp"

namespace flare::thor {
namespace {

constexpr std::array<const char*, 8> kJoints = {
    "stretch_robot_lift_jnt",    "stretch_robot_arm_1_jnt",  "stretch_robot_arm_2_jnt",
    "stretch_robot_arm_3_jnt",   "stretch_robot_arm_4_jnt",  "stretch_robot_arm_5_jnt",
    "stretch_robot_wrist_1_jnt", "stretch_robot_wrist_2_jnt"};
constexpr std::array<double, 6> kOpennessClasses = {0, 5, 15, 25, 35, 45};
constexpr double kLightSecond = 0.02;  // s of simulated time per action

/// A rotation about y as axis and angle.
void write_turn(MsgpackWriter& out, const char* key, double degrees) {
  out.text(key);
  out.map(4);
  const bool is_turned = degrees != 0.0;
  out.entry("x", is_turned ? 0.0 : 1.0);
  out.entry("y", is_turned ? 1.0 : 0.0);
  out.entry("z", 0.0);
  out.entry("w", degrees);
}

/// A point of the arm's frame: y up, z along the arm. Doubles, so that what consumers subtract
/// gives lift and extension back to the last digit.
void write_root_relative(MsgpackWriter& out, double y, double z) {
  out.text("rootRelativePosition");
  out.map(3);
  out.entry("x", 0.0);
  out.entry("y", y);
  out.entry("z", z);
}

void write_joint(MsgpackWriter& out, const Simulator& s, std::size_t i) {
  const sim::ArmPose& arm = s.pose.arm;
  const bool is_wrist = i + 2 >= kJoints.size();
  const double share = std::min(1.0, static_cast<double>(i) / 6.0);
  const double yaw = i + 1 == kJoints.size() ? reported_wrist_yaw(arm) : 0.0;
  const Vec3 shoulder = shoulder_of(s.robot(), s.pose);
  const Vec3 wrist = wrist_of(s.robot(), s.pose);
  out.map(6);
  out.entry("name", kJoints[i]);
  out.entry("position", shoulder + (wrist - shoulder) * static_cast<float>(share));
  write_root_relative(out, arm.lift + (is_wrist ? kWristHeight : kLiftJointHeight),
                      share * (arm.extension - kExtensionOffset));
  write_turn(out, "rotation", s.pose.yaw_deg + s.robot().arm->yaw_deg + yaw);
  write_turn(out, "rootRelativeRotation", yaw);
  write_turn(out, "localRotation", yaw);
}

void write_ids(MsgpackWriter& out, const char* key, const Simulator& s,
               std::span<const std::int32_t> objects) {
  out.text(key);
  out.list(objects.size());
  for (const std::int32_t index : objects) {
    out.text(s.house().sim->house.objects[static_cast<std::size_t>(index)].id);
  }
}

/// Objects whose box meets the hand sphere: what PickupObject could take.
std::vector<std::int32_t> pickupable_objects(const Simulator& s) {
  std::vector<std::int32_t> found;
  if (!s.has_house() || !is_hand_free(s.surroundings(), s.pose)) return found;
  const Vec3 hand = hand_of(s.robot(), s.pose).center;
  const auto& objects = s.house().sim->house.objects;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const auto index = static_cast<std::int32_t>(i);
    if (!objects[i].pickupable) continue;
    const sim::Solid box = current_box(s.surroundings(), s.pose, index);
    if (distance_to(box, hand) < s.robot().arm->grasp_radius) found.push_back(index);
  }
  return found;
}

void write_arm(MsgpackWriter& out, const Simulator& s) {
  const Vec3 hand = hand_of(s.robot(), s.pose).center;
  const Vec3 root = shoulder_of(s.robot(), s.pose);
  out.text("arm");
  out.map(8);
  out.text("joints");
  out.list(kJoints.size());
  for (std::size_t i = 0; i < kJoints.size(); ++i) write_joint(out, s, i);
  const std::array<std::int32_t, 1> held = {s.things.held};
  write_ids(out, "heldObjects", s, std::span(held).first(s.things.held >= 0 ? 1 : 0));
  write_ids(out, "pickupableObjects", s, pickupable_objects(s));
  out.entry_empty("touchedNotHeldObjects");
  out.entry("handSphereCenter", hand);
  out.entry("rootRelativeHandSphereCenter", hand - root);
  const auto openness =
      std::upper_bound(kOpennessClasses.begin(), kOpennessClasses.end(), s.gripper_openness - 1e-9);
  out.entry("gripperOpennessState", static_cast<int>(openness - kOpennessClasses.begin()));
  out.entry("handSphereRadius", s.robot().arm->grasp_radius);
}

void write_agent(MsgpackWriter& out, const Simulator& s) {
  out.text("agent");
  out.map(6);
  out.entry("name", "agent");
  out.entry("position",
            Vec3{s.pose.position.x, s.robot().body.reference_height, s.pose.position.z});
  out.entry("rotation", Vec3{0.0F, s.pose.yaw_deg, 0.0F});
  out.entry("cameraHorizon", s.agent_pitch_deg);
  out.entry("isStanding", false);
  out.entry("inHighFrictionArea", false);
}

void write_cameras(MsgpackWriter& out, const Simulator& s, bool are_drawn) {
  out.text("thirdPartyCameras");
  if (!are_drawn) {
    out.nil();
    return;
  }
  out.list(s.third_party.size());
  for (int i = 0; i < s.num_cameras(); ++i) {
    const render::Camera camera = s.camera(i);
    const ThirdPartyCamera& own = s.third_party[static_cast<std::size_t>(i)];
    out.map(6);
    out.entry("thirdPartyCameraId", i);
    out.entry("position", camera.position);
    out.entry("rotation", Vec3{camera.pitch_deg, camera.yaw_deg, 0.0F});
    out.entry("fieldOfView", camera.vertical_fov_deg);
    const Vec3 relative = camera.position - Vec3{s.pose.position.x, s.robot().body.reference_height,
                                                 s.pose.position.z};
    out.entry("agentPositionRelativeThirdPartyCameraPosition",
              own.is_mounted ? own.camera.position : relative);
    out.entry("agentPositionRelativeThirdPartyCameraRotation",
              Vec3{own.camera.pitch_deg, own.camera.yaw_deg, 0.0F});
  }
}

void write_objects(MsgpackWriter& out, Simulator& s) {
  out.text("objects");
  std::vector<std::int32_t> listed;
  if (s.has_house() && !s.object_filter) {
    listed.resize(s.house().sim->house.objects.size());
    for (std::size_t i = 0; i < listed.size(); ++i) listed[i] = static_cast<std::int32_t>(i);
  } else if (s.has_house()) {
    const auto& index = s.house().index;
    for (const std::string& id : *s.object_filter) {
      if (const auto found = index.find(id); found != index.end()) listed.push_back(found->second);
    }
  }
  out.list(listed.size());
  if (listed.empty()) return;
  const std::vector<std::int32_t> pixels = s.pixels(Simulator::kAgentCamera);
  for (const std::int32_t index : listed) {
    const ObjectView view(s, index);
    const bool is_near = distance_to_agent(s, view) <= s.visibility_distance;
    write_object(out, s, view, is_near && pixels[static_cast<std::size_t>(index)] > 0);
  }
}

void write_bounds(MsgpackWriter& out, const Simulator& s) {
  Vec3 low;
  Vec3 high;
  if (s.has_house()) {
    const sim::House& house = s.house().sim->house;
    low = {house.bounds.min.x, 0.0F, house.bounds.min.z};
    high = {house.bounds.max.x, 0.0F, house.bounds.max.z};
    for (const sim::Room& room : house.rooms) high.y = std::max(high.y, room.ceiling_y);
  }
  out.text("sceneBounds");
  out.map(3);
  out.entry("center", (low + high) * 0.5F);
  out.text("cornerPoints");
  out.list(8);
  for (unsigned i = 0; i < 8; ++i) {
    out.triple({(i & 1U) != 0 ? high.x : low.x, (i & 2U) != 0 ? high.y : low.y,
                (i & 4U) != 0 ? high.z : low.z});
  }
  out.entry("size", high - low);
}

void write_colors(MsgpackWriter& out, const Simulator& s, bool has_ids) {
  out.text("colors");
  if (!has_ids) {
    out.nil();
    return;
  }
  const auto add = [&](std::string_view name, std::uint16_t id) {
    out.map(2);
    out.entry("name", name);
    out.text("color");
    out.list(3);
    for (const std::uint8_t channel : color_of_id(id)) out.integer(channel);
  };
  const std::vector<sim::Object> none;
  const auto& objects = s.has_house() ? s.house().sim->house.objects : none;
  out.list(objects.size() + 2);
  add("Structure", 0);
  add("Robot", render::kRobotId);
  for (std::size_t i = 0; i < objects.size(); ++i) {
    add(objects[i].id, static_cast<std::uint16_t>(i + 1));
  }
}

/// What Unity tells of every agent and this program has nothing to say to.
void write_unused(MsgpackWriter& out) {
  for (const char* key :
       {"collidedObjects", "inventoryObjects", "flatSurfacesOnGrid", "distances", "normals",
        "isOpenableGrid", "segmentedObjectIds", "objectIdsInBox", "actionStringsReturn",
        "actionFloatsReturn", "actionVector3sReturn", "visibleRange"}) {
    out.entry_empty(key);
  }
  out.entry_nil("colorBounds");
  out.entry("actionIntReturn", 0);
  out.entry("actionFloatReturn", 0.0F);
  out.entry("cameraOrthSize", 0.0F);
  out.entry("currentTime", kLightSecond);
  out.text("heldObjectPose");
  out.map(4);
  for (const char* key : {"position", "rotation", "localPosition", "localRotation"}) {
    out.entry(key, Vec3{});
  }
}

void write_value(MsgpackWriter& out, const Reply& reply) {
  out.text("actionReturn");
  out.raw(nlohmann::json::to_msgpack(reply.value));
}

/// Five entries.
void write_outcome(MsgpackWriter& out, const Reply& reply) {
  out.entry("lastAction", reply.action);
  out.entry("lastActionSuccess", reply.is_success);
  out.entry("errorMessage", reply.error);
  out.text("errorCode");
  reply.code.empty() ? out.nil() : out.text(reply.code);
  write_value(out, reply);
}

}  // namespace

std::array<std::uint8_t, 3> color_of_id(std::uint16_t id) {
  constexpr std::uint8_t kBlue = 160;
  return {static_cast<std::uint8_t>(id & 0xffU), static_cast<std::uint8_t>(id >> 8U), kBlue};
}

void write_patch(MsgpackWriter& out, const Reply& reply) {
  out.clear();
  out.map(6);
  write_outcome(out, reply);
  out.entry("agentId", 0);
}

void write_metadata(MsgpackWriter& out, Simulator& s, const Reply& reply,
                    const ImageRequest& request, std::int64_t sequence_id) {
  constexpr std::size_t kAgentEntries = 5 + 6 + 18 + 11;
  out.clear();
  out.map(4);
  out.text("sequenceId");
  out.integer(sequence_id);
  out.entry("activeAgentId", 0);
  write_cameras(out, s, request.color);
  out.text("agents");
  out.list(1);
  out.map(kAgentEntries);
  write_outcome(out, reply);
  write_objects(out, s);
  write_agent(out, s);
  write_arm(out, s);
  write_cameras(out, s, request.color);
  write_bounds(out, s);
  write_colors(out, s, request.ids);
  write_unused(out);
  out.entry("isSceneAtRest", true);
  out.entry("fov", s.agent_fov_deg);
  out.entry("cameraPosition", s.camera(Simulator::kAgentCamera).position);
  out.entry("collided", reply.error.starts_with("Collided"));
  out.entry("sceneName", "Procedural");
  out.entry("screenWidth", s.width);
  out.entry("screenHeight", s.height);
  out.entry("agentId", 0);
  out.entry("depthFormat", "Meters");
  out.entry("cameraNearPlane", Simulator::kNearPlane);
  out.entry("cameraFarPlane", Simulator::kFarPlane);
}

}  // namespace flare::thor
