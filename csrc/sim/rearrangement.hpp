// What one episode has moved: the object in the hand and those that were put down elsewhere. Plain
// data inside a world's state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/geometry.hpp"

namespace flare::sim {

inline constexpr int kMaxDisplaced = 32;

/// An object that stands elsewhere than its house has it.
struct Displaced {
  std::int32_t object = -1;  // index into House::objects
  Vec3 center;               // m, of its box
  float yaw_deg = 0.0F;
};

struct Rearrangement {
  std::int32_t held = -1;     // index into House::objects, -1 for an empty hand
  Vec3 held_offset;           // m, from the hand sphere to the box's centre in the hand's frame
  float held_yaw_deg = 0.0F;  // of the box, relative to the hand
  std::int32_t num_displaced = 0;
  std::array<Displaced, kMaxDisplaced> displaced{};  // in the order they were put down

  [[nodiscard]] std::span<const Displaced> entries() const {
    return {displaced.data(), static_cast<std::size_t>(num_displaced)};
  }
  /// Where an object was put down, nullptr if it is in the hand or at home.
  [[nodiscard]] const Displaced* find(std::int32_t object) const {
    for (const Displaced& entry : entries()) {
      if (entry.object == object) return &entry;
    }
    return nullptr;
  }
  [[nodiscard]] bool is_away(std::int32_t object) const {
    return object == held || find(object) != nullptr;
  }
  void forget(std::int32_t object);
  /// False, and nothing is changed, when kMaxDisplaced other objects are displaced already.
  bool put(const Displaced& entry);
};
static_assert(sizeof(Rearrangement) == 24 + 20 * kMaxDisplaced, "no hidden padding");

}  // namespace flare::sim
