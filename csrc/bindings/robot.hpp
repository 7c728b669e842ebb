// A robot as Python holds it.
#pragma once

#include <memory>

#include "sim/robot.hpp"

namespace flare::bindings {

struct PyRobot {
  std::shared_ptr<const sim::RobotSpec> spec;
};

}  // namespace flare::bindings
