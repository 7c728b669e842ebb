// The robot's cameras and those that a client adds.
#include <algorithm>
#include <cmath>

#include "thor/actions.hpp"

namespace flare::thor {
namespace {

using nlohmann::json;

constexpr double kSteepestMount = 80.0;  // degrees

float field_of_view(const Arguments& a) {
  const double value = a.number("fieldOfView");
  if (value <= 0.0 || value >= 180.0) fail("fieldOfView must lie between 0 and 180");
  return static_cast<float>(value);
}

ThirdPartyCamera& secondary_camera(Simulator& s) {
  if (s.third_party.empty() || !s.third_party[0].is_mounted) fail("there is no secondary camera");
  return s.third_party[0];
}

json rotate_camera_mount(Simulator& s, const Arguments& a) {
  a.check({"degrees"}, {"secondary"});
  const double degrees = a.number("degrees");
  if (std::abs(degrees) > kSteepestMount) fail("degrees must be -80 to 80");
  const auto pitch = static_cast<float>(degrees);
  if (a.boolean("secondary", false)) {
    secondary_camera(s).camera.pitch_deg = pitch;
  } else {
    s.agent_pitch_deg = pitch;
  }
  s.touch();
  return nullptr;
}

json change_fov(Simulator& s, const Arguments& a) {
  a.check({"fieldOfView"}, {"camera"});
  const float fov = field_of_view(a);
  const std::string camera =
      a.find("camera") == nullptr ? "FirstPersonCharacter" : a.text("camera");
  if (camera == "FirstPersonCharacter") {
    s.agent_fov_deg = fov;
  } else if (camera == "SecondaryCamera") {
    secondary_camera(s).camera.vertical_fov_deg = fov;
  } else {
    fail("there is no camera " + camera + "; use FirstPersonCharacter or SecondaryCamera");
  }
  s.touch();
  return nullptr;
}

/// Writes what is given of position, rotation and field of view.
void place(render::Camera& camera, const Arguments& a) {
  const Vec3 rotation = a.vector("rotation", {camera.pitch_deg, camera.yaw_deg, 0.0F});
  render::Camera placed = camera;
  placed.position = a.vector("position", camera.position);
  placed.pitch_deg = rotation.x;
  placed.yaw_deg = sim::positive_degrees(rotation.y);
  if (a.find("fieldOfView") != nullptr) placed.vertical_fov_deg = field_of_view(a);
  camera = placed;
}

json add_third_party_camera(Simulator& s, const Arguments& a) {
  a.check({"position", "rotation"}, {"fieldOfView", "skyboxColor", "orthographic",
                                     "orthographicSize", "farClippingPlane", "nearClippingPlane"});
  if (a.boolean("orthographic", false)) fail("orthographic cameras are not simulated");
  render::Camera camera;
  camera.vertical_fov_deg = 90.0F;
  place(camera, a);
  s.third_party.push_back({camera, false});
  s.touch();
  return nullptr;
}

json update_third_party_camera(Simulator& s, const Arguments& a) {
  a.check({"thirdPartyCameraId"}, {"position", "rotation", "fieldOfView", "skyboxColor",
                                   "orthographic", "orthographicSize"});
  const double id = a.number("thirdPartyCameraId");
  if (id < 0.0 || id >= s.num_cameras()) fail("there is no third-party camera of that id");
  place(s.third_party[static_cast<std::size_t>(id)].camera, a);
  s.touch();
  return nullptr;
}

json disable_secondary_camera(Simulator& s, const Arguments& a) {
  a.check({});
  (void)secondary_camera(s);
  s.third_party.erase(s.third_party.begin());
  s.touch();
  return nullptr;
}

json map_view(Simulator& s, const Arguments& a) {
  a.check({});
  const sim::House& house = s.house().sim->house;
  const Vec2 low = house.bounds.min;
  const Vec2 high = house.bounds.max;
  float top = 0.0F;
  for (const sim::Room& room : house.rooms) top = std::max(top, room.ceiling_y);
  const float size = 0.5F * std::max(high.x - low.x, high.z - low.z);
  return {{"position", to_json({0.5F * (low.x + high.x), top, 0.5F * (low.z + high.z)})},
          {"rotation", to_json({90.0F, 0.0F, 0.0F})},
          {"orthographicSize", size},
          {"orthographic", true},
          {"farClippingPlane", 2.0F * top}};
}

json draw_nothing(Simulator&, const Arguments&) {
  return nullptr;  // marks for people's eyes are accepted and not drawn
}

}  // namespace

void add_camera_actions(ActionTable& table) {
  table["RotateCameraMount"] = {rotate_camera_mount};
  table["ChangeFOV"] = {change_fov};
  table["AddThirdPartyCamera"] = {add_third_party_camera};
  table["UpdateThirdPartyCamera"] = {update_third_party_camera};
  table["DisableSecondaryCamera"] = {disable_secondary_camera};
  table["GetMapViewCameraProperties"] = {map_view, true};
  table["VisualizeWaypoints"] = {draw_nothing};
  table["VisualizePath"] = {draw_nothing};
  table["HideVisualizedPath"] = {draw_nothing};
}

}  // namespace flare::thor
