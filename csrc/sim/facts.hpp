// What a world tells tasks, the privileged critic and reports after each step: one fixed row,
// exported to Python as a numpy structured dtype of the same field names. New facts are added here
// and nowhere else.
#pragma once

#include <array>
#include <cstdint>

namespace flare::sim {

inline constexpr int kMaxTargets = 16;

struct Facts {
  std::array<float, 3> position;  // m, the agent's reference point
  float yaw_deg;                  // [0, 360)
  float travelled;                // m walked in this episode
  std::int32_t step;              // actions executed in this episode
  std::int32_t last_action;       // sim::Action, -1 before the first
  std::uint8_t last_action_success;
  std::uint8_t collided;        // the last base move was blocked
  std::uint8_t target_visible;  // a target is in the navigation image and within 2 m
  std::uint8_t target_in_view;  // a target is in the navigation image at any distance
  std::int32_t house;           // index in the world's house set
  std::int32_t room;            // index of the room the agent is in, -1 in none
  std::int32_t num_rooms;
  std::int32_t num_targets;
  std::uint64_t rooms_seen;  // bit r: room r was entered in this episode
  float target_distance;     // m, horizontal, agent to the nearest target's box; -1 without
  float target_bearing_deg;  // (-180, 180], nearest target relative to the heading, + right
  float target_geodesic;     // m to walk until a target is within 2 m; -1 unreachable
  float path_bearing_deg;    // (-180, 180], next waypoint of that walk relative to the heading
  std::int32_t held_object;  // index in the house's objects, -1 for an empty hand
  float arm_lift;            // m
  float arm_extension;       // m
  float wrist_yaw_deg;
  std::array<std::uint8_t, kMaxTargets> visible;  // per target: in the image and within 2 m
  std::array<float, kMaxTargets> distance;        // m, as target_distance, per target
};
static_assert(sizeof(Facts) == 168, "the exported dtype has no hidden padding");

/// One episode's start, made by a task sampler; exported as a numpy structured dtype.
struct EpisodeSpec {
  std::uint64_t seed;  // keys everything random inside the episode
  std::int32_t house;  // index in the world's house set
  float x, z;          // m, agent reference point
  float yaw_deg;
  std::int32_t num_targets;
  std::int32_t camera_noise;  // 1: tilt and field of view are drawn as the original does
  std::array<std::int32_t, kMaxTargets> targets;  // indices into the house's objects
};
static_assert(sizeof(EpisodeSpec) == 96, "the exported dtype has no hidden padding");

}  // namespace flare::sim
