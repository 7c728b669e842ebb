// Stretch's arm as AI2-THOR tells it: positions of its joints relative to the robot's root, which
// consumers turn into lift and extension with constants of their own.
#pragma once

#include "sim/robot.hpp"

namespace flare::thor {

inline constexpr double kLiftJointHeight = 0.16297650337219238;  // m, of the lift's joint at lift 0
inline constexpr double kWristHeight = 0.07367 + 0.0243;      // m, of the wrist's joint at lift 0
inline constexpr double kExtensionOffset = 0.25946 - 0.0163;  // m, extension at z 0 of the wrist

/// The wrist's yaw as an angle about y in (-180, 180]: its stops lie at 75 and -260 degrees.
inline double reported_wrist_yaw(const sim::ArmPose& arm) {
  const double yaw = arm.wrist_yaw_deg;
  return yaw <= -180.0 ? yaw + 360.0 : yaw;
}

}  // namespace flare::thor
