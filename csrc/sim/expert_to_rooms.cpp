// Enters a goal room, or visits and reports all rooms.
#include "sim/expert.hpp"
#include "sim/walker.hpp"

namespace flare::sim {
namespace {

constexpr float kInside = 0.6F;  // m, a room is reported from so far behind the line that bounds it

bool has_bit(std::uint64_t set, int bit) {
  return bit >= 0 && bit < kMaxRooms && (set >> static_cast<unsigned>(bit) & 1U) != 0;
}

class Visitor : Walker {
 public:
  using Walker::Walker;

  /// On the way to the field's rooms, done where there is no way.
  [[nodiscard]] Action next() {
    if (state_.plan.size > 0) return static_cast<Action>(state_.plan.actions[0]);
    const float distance = distance_left();
    if (distance < 0.0F) return Action::kDone;
    // The body stands in the room and the reference point, ahead of it, does not: on, or anywhere.
    if (distance == 0.0F) return is_free(Action::kMoveAhead) ? Action::kMoveAhead : any_free(6);
    return walk();
  }

  /// Is there a step farther into the room that was just entered? Nobody sees the line between two
  /// rooms, so nobody could imitate what is said upon it.
  [[nodiscard]] bool goes_on_into(int room) const {
    const Vec2 behind = pose_.position - heading(pose_.yaw_deg) * kInside;
    if (state_.step == 0 || room_at(house_.house, behind) == room) return false;
    const auto next = moved(around_, pose_, Action::kMoveAhead);
    return next && room_at(house_.house, next->position) == room;
  }
};

}  // namespace

Action expert_to_enter_room(const LoadedHouse& house, const GeodesicField& field,
                            WorldState& state) {
  Visitor visitor(house, field, state);
  const int room = room_at(house.house, state.pose.position);
  if (!has_bit(state.spec.target_rooms, room)) return visitor.next();
  return visitor.goes_on_into(room) ? Action::kMoveAhead : Action::kDone;
}

Action expert_to_visit_rooms(const LoadedHouse& house, const GeodesicField* field,
                             WorldState& state) {
  // Without a field, where every room was seen, there is still a way into the last one.
  const GeodesicField nowhere;
  Visitor visitor(house, field == nullptr ? nowhere : *field, state);
  if (state.last_room >= 0 && !has_bit(state.rooms_reported, state.last_room)) {
    return visitor.goes_on_into(state.last_room) ? Action::kMoveAhead : Action::kSubDone;
  }
  return field == nullptr ? Action::kDone : visitor.next();
}

}  // namespace flare::sim
