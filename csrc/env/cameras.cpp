#include "env/cameras.hpp"

namespace flare::env {

render::Camera mounted_camera(const sim::RobotSpec& robot, const sim::WorldState& state,
                              int camera) {
  const auto index = static_cast<std::size_t>(camera);
  const sim::CameraMount& mount = robot.cameras[index];
  render::Camera out;
  out.position = sim::to_world(robot.body, state.pose, mount.position);
  out.yaw_deg = sim::positive_degrees(state.pose.yaw_deg + mount.yaw_deg);
  out.pitch_deg = state.cameras[index].pitch_deg;
  out.vertical_fov_deg = state.cameras[index].fov_deg;
  return out;
}

}  // namespace flare::env
