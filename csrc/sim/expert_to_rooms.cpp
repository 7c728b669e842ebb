// Enters a goal room, or visits and reports all rooms.
#include "sim/expert.hpp"
#include "sim/walker.hpp"

namespace flare::sim {
namespace {

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
};

}  // namespace

Action expert_to_enter_room(const LoadedHouse& house, const GeodesicField& field,
                            WorldState& state) {
  const int room = room_at(house.house, state.pose.position);
  if (has_bit(state.spec.target_rooms, room)) return Action::kDone;
  return Visitor(house, field, state).next();
}

Action expert_to_visit_rooms(const LoadedHouse& house, const GeodesicField* field,
                             WorldState& state) {
  if (state.last_room >= 0 && !has_bit(state.rooms_reported, state.last_room)) {
    return Action::kSubDone;
  }
  return field == nullptr ? Action::kDone : Visitor(house, *field, state).next();
}

}  // namespace flare::sim
