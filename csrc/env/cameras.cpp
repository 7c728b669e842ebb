#include "env/cameras.hpp"

#include "sim/body.hpp"

namespace flare::env {

render::Camera mounted_camera(const sim::WorldState& state, int camera) {
  const bool is_navigation = camera == kNavigationCamera;
  const Vec3 mount = is_navigation ? sim::kNavigationMount : sim::kManipulationMount;
  const Vec2 ahead = heading(state.yaw_deg);
  render::Camera out;
  // The body's right is its heading turned clockwise: (cos, -sin) in (x, z).
  out.position = {state.position.x + ahead.z * mount.x + ahead.x * mount.z,
                  sim::kAgentHeight + mount.y,
                  state.position.z - ahead.x * mount.x + ahead.z * mount.z};
  const sim::CameraSettings& settings = state.cameras;
  out.yaw_deg =
      is_navigation ? state.yaw_deg : sim::positive_degrees(state.yaw_deg + sim::kManipulationYaw);
  out.pitch_deg = is_navigation ? settings.nav_pitch_deg : settings.manip_pitch_deg;
  out.vertical_fov_deg = is_navigation ? settings.nav_fov_deg : settings.manip_fov_deg;
  return out;
}

}  // namespace flare::env
