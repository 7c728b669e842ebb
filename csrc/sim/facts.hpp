// What a world tells tasks, the privileged critic and reports after each step: one fixed row,
// exported to Python as a numpy structured dtype of the same field names. New facts are added here
// and nowhere else.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace flare::sim {

inline constexpr int kMaxTargets = 16;
inline constexpr int kMaxRooms = 64;  // bits of a set of rooms; rooms beyond are in no set

/// Where an episode leads: it decides the geodesic field and what the expert does. Whether an
/// episode succeeded is the task's to say.
enum class Goal : std::int32_t {
  kSee = 0,         // a target in the navigation image and within 2 m (the ObjectNav family)
  kHold = 1,        // a target in the hand (PickUp, Fetch)
  kEnterRoom = 2,   // the agent in one of the target rooms (RoomNav)
  kVisitRooms = 3,  // every room entered and reported by sub_done (RoomVisit)
};
inline constexpr int kNumGoals = 4;
inline constexpr std::array<std::string_view, kNumGoals> kGoalNames = {"see", "hold", "enter_room",
                                                                       "visit_rooms"};

struct Facts {
  std::array<float, 3> position;  // m, the agent's reference point
  float yaw_deg;                  // [0, 360)
  float travelled;                // m walked in this episode
  std::int32_t step;              // actions executed in this episode
  std::int32_t last_action;       // sim::Action, -1 before the first
  // The original's verdict (flare.md section 1.3): of done whether the goal is reached, of sub_done
  // sub_done_success; pickup never succeeds, dropoff always.
  std::uint8_t last_action_success;
  std::uint8_t collided;        // the last motion was blocked
  std::uint8_t target_visible;  // a target is in the navigation image and within 2 m
  std::uint8_t target_in_view;  // a target is in the navigation image at any distance
  std::int32_t house;           // index in the world's house set
  std::int32_t room;            // index of the room the agent is in, -1 in none
  std::int32_t num_rooms;
  std::int32_t num_targets;
  std::uint64_t rooms_seen;  // bit r: room r was entered in this episode
  float target_distance;     // m, horizontal, agent to the nearest target's box; -1 without
  float target_bearing_deg;  // (-180, 180], nearest target relative to the heading, + right
  // m to walk to the goal, -1 unreachable: until a target is within 2 m (see), within the arm's
  // reach (hold), into a target room (enter_room), into the nearest unseen room (visit_rooms)
  float target_geodesic;
  float path_bearing_deg;    // (-180, 180], next waypoint of that walk relative to the heading
  std::int32_t held_object;  // index in the house's objects, -1 for an empty hand
  float arm_lift;            // m
  float arm_extension;       // m
  float wrist_yaw_deg;
  std::array<std::uint8_t, kMaxTargets> visible;  // per target: in the image and within 2 m
  std::array<float, kMaxTargets> distance;        // m, as target_distance, per target
  std::uint64_t target_rooms;                     // as in the episode's spec
  std::uint64_t rooms_reported;                   // bit r: room r was reported by sub_done
  std::int32_t task;                              // tag of the episode's spec
  std::int32_t goal;                              // sim::Goal of the episode's spec
  std::int32_t robot;                             // index in the world's robots
  std::int32_t max_steps;                         // of the episode's spec, 0 without a limit
  std::int32_t rooms_left;                        // rooms not entered yet
  std::int32_t time_left;                         // max_steps - step, -1 without a limit
  float room_distance;            // m, horizontal, agent to the nearest target room's centroid; -1
  float target_distance_3d;       // m, agent's reference point to the nearest target's centre; -1
  float target_hand_distance;     // m, centre of the hand sphere to the nearest target's box; -1
  std::array<float, 3> hand;      // m, centre of the hand sphere in the world
  std::uint8_t in_target_room;    // the agent is in one of the target rooms
  std::uint8_t sub_done_success;  // the last action was a sub_done that reported a new room
  // Of the manipulation camera; counted when it is drawn and whenever the goal is to hold.
  std::uint8_t manip_target_visible, manip_target_in_view;
  std::uint8_t target_in_reach;                         // a target meets the hand sphere
  std::uint8_t holds_target;                            // a target is in the hand
  std::uint8_t picked_up;                               // the last action took an object
  std::uint8_t dropped;                                 // the last action let an object go
  std::array<std::uint8_t, kMaxTargets> manip_visible;  // as visible, manipulation camera
  std::array<std::uint8_t, kMaxTargets> in_reach;       // per target: meets the hand sphere
};
static_assert(sizeof(Facts) == 272, "the exported dtype has no hidden padding");

/// What EpisodeSpec::randomise allows to be drawn, each with the original's probability.
inline constexpr std::int32_t kRandomMaterials = 1;  // walls and floors
inline constexpr std::int32_t kRandomLights = 2;
inline constexpr std::int32_t kRandomTextures = 4;  // of objects

/// One episode's start, made by a task sampler; exported as a numpy structured dtype.
struct EpisodeSpec {
  std::uint64_t seed;          // keys everything random inside the episode
  std::uint64_t target_rooms;  // bit r: room r is a goal (enter_room)
  std::int32_t house;          // index in the world's house set
  std::int32_t robot;          // index in the world's robots
  std::int32_t task;           // tag of the task mixture, copied to Facts
  std::int32_t goal;           // sim::Goal
  std::int32_t max_steps;      // only for Facts::time_left, nothing ends by it; 0 without a limit
  std::int32_t num_targets;
  std::int32_t camera_noise;  // 1: tilt and field of view are drawn as the original does
  std::int32_t randomise;     // bits kRandom...: what of the house's looks is drawn
  float x, z;                 // m, agent reference point
  float yaw_deg;
  std::int32_t unused;                            // keeps rows free of hidden padding
  std::array<std::int32_t, kMaxTargets> targets;  // indices into the house's objects
};
static_assert(sizeof(EpisodeSpec) == 128, "the exported dtype has no hidden padding");

}  // namespace flare::sim
