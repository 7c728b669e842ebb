// Points, boxes and angles of a house: metres, y up, left-handed; yaw in degrees, clockwise seen
// from above, 0 looks along +z, 90 along +x (the conventions of AI2-THOR).
#pragma once

#include <algorithm>
#include <cmath>

namespace flare {

struct Vec2 {
  float x = 0.0F;
  float z = 0.0F;

  friend Vec2 operator+(Vec2 a, Vec2 b) { return {a.x + b.x, a.z + b.z}; }
  friend Vec2 operator-(Vec2 a, Vec2 b) { return {a.x - b.x, a.z - b.z}; }
  friend Vec2 operator*(Vec2 a, float s) { return {a.x * s, a.z * s}; }
};

inline float dot(Vec2 a, Vec2 b) { return a.x * b.x + a.z * b.z; }
inline float length(Vec2 a) { return std::sqrt(dot(a, a)); }

struct Vec3 {
  float x = 0.0F;
  float y = 0.0F;
  float z = 0.0F;

  friend Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
  friend Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
  friend Vec3 operator*(Vec3 a, float s) { return {a.x * s, a.y * s, a.z * s}; }
};

inline float dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec3 cross(Vec3 a, Vec3 b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
inline float length(Vec3 a) { return std::sqrt(dot(a, a)); }

inline constexpr float kPi = 3.14159265358979323846F;
inline constexpr float kRadiansPerDegree = kPi / 180.0F;

/// The horizontal unit vector that a yaw looks along.
inline Vec2 heading(float yaw_deg) {
  const float a = yaw_deg * kRadiansPerDegree;
  return {std::sin(a), std::cos(a)};
}

/// The same angle in (-180, 180].
inline float wrap_degrees(float angle_deg) {
  float a = std::fmod(angle_deg, 360.0F);
  if (a <= -180.0F) a += 360.0F;
  if (a > 180.0F) a -= 360.0F;
  return a;
}

/// Yaw of the direction from one point to another, in (-180, 180].
inline float bearing_deg(Vec2 from, Vec2 to) {
  return std::atan2(to.x - from.x, to.z - from.z) / kRadiansPerDegree;
}

}  // namespace flare
