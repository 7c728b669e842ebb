// Sine and cosine of degrees with the same bits on every machine: a C library may pick another
// variant of std::sin on another processor.
#pragma once

#include <cmath>

#include "core/geometry.hpp"

namespace flare::render {

struct SinCos {
  float sin = 0.0F;
  float cos = 1.0F;
};

/// Taylor series on [-45, 45] degrees in double, error below 1e-13; exact at multiples of 90.
inline SinCos sin_cos_deg(float angle_deg) {
  const double turns = std::floor(static_cast<double>(angle_deg) / 90.0 + 0.5);
  const double x =
      (static_cast<double>(angle_deg) - turns * 90.0) * (3.14159265358979323846 / 180.0);
  const double q = x * x;
  const double s =
      x * (1.0 + q * (-1.0 / 6 +
                      q * (1.0 / 120 + q * (-1.0 / 5040 + q * (1.0 / 362880 - q / 39916800.0)))));
  const double c =
      1.0 +
      q * (-0.5 + q * (1.0 / 24 + q * (-1.0 / 720 + q * (1.0 / 40320 +
                                                         q * (-1.0 / 3628800 + q / 479001600.0)))));
  const double quadrant = turns - 4.0 * std::floor(turns / 4.0);
  const auto sine = static_cast<float>(s);
  const auto cosine = static_cast<float>(c);
  if (quadrant < 0.5) return {sine, cosine};
  if (quadrant < 1.5) return {cosine, -sine};
  if (quadrant < 2.5) return {-sine, -cosine};
  return {-cosine, sine};
}

/// The point turned clockwise seen from above, as a yaw is counted.
inline Vec3 turn_about_y(Vec3 p, SinCos yaw) {
  return {p.x * yaw.cos + p.z * yaw.sin, p.y, p.z * yaw.cos - p.x * yaw.sin};
}

}  // namespace flare::render
