// The twenty actions of the original, in the order of its logits, with their effect on the base.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace flare::sim {

enum class Action : std::int32_t {
  kMoveAhead = 0,         // base forward 0.2 m
  kRotateRight = 1,       // +30 degrees
  kRotateLeft = 2,        // -30 degrees
  kMoveBack = 3,          // base backward 0.2 m
  kDone = 4,              // ends the episode, moves nothing
  kSubDone = 5,           // reports a sub-goal, moves nothing
  kRotateLeftSmall = 6,   // -6 degrees
  kRotateRightSmall = 7,  // +6 degrees
  kPickup = 8,
  kArmIn = 9,
  kArmOut = 10,
  kArmUp = 11,
  kArmDown = 12,
  kWristOpen = 13,
  kWristClose = 14,
  kArmDownSmall = 15,
  kArmInSmall = 16,
  kArmOutSmall = 17,
  kArmUpSmall = 18,
  kDropoff = 19,
};

inline constexpr int kNumActions = 20;

inline constexpr std::array<std::string_view, kNumActions> kActionNames = {"move_ahead",
                                                                           "rotate_right",
                                                                           "rotate_left",
                                                                           "move_back",
                                                                           "done",
                                                                           "sub_done",
                                                                           "rotate_left_small",
                                                                           "rotate_right_small",
                                                                           "pickup",
                                                                           "move_arm_in",
                                                                           "move_arm_out",
                                                                           "move_arm_up",
                                                                           "move_arm_down",
                                                                           "wrist_open",
                                                                           "wrist_close",
                                                                           "move_arm_down_small",
                                                                           "move_arm_in_small",
                                                                           "move_arm_out_small",
                                                                           "move_arm_up_small",
                                                                           "dropoff"};

}  // namespace flare::sim
