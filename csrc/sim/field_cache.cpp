#include "sim/field_cache.hpp"

#include <algorithm>

#include "sim/reach.hpp"
#include "sim/world.hpp"

namespace flare::sim {
namespace {

std::vector<std::int32_t> rooms_of(std::uint64_t set) {
  std::vector<std::int32_t> rooms;
  for (std::int32_t r = 0; r < kMaxRooms; ++r) {
    if ((set >> static_cast<unsigned>(r) & 1U) != 0) rooms.push_back(r);
  }
  return rooms;
}

std::size_t bytes_of(const GeodesicField& field) {
  return field.distance.size() * (sizeof(float) + sizeof(std::int32_t) + sizeof(std::int8_t));
}

}  // namespace

GeodesicField field_to_goal(const LoadedHouse& house, Goal goal,
                            std::span<const std::int32_t> ids) {
  if (goal == Goal::kHold) return field_to_reach(house, ids);
  if (goal == Goal::kSee) {
    return house.grid.field_to_objects(house.house, house.collision, house.robot, ids,
                                       World::kVisibilityDistance);
  }
  std::uint64_t rooms = 0;
  for (const std::int32_t r : ids) rooms |= std::uint64_t{1} << static_cast<unsigned>(r);
  return house.grid.field_to_rooms(rooms);
}

std::shared_ptr<const GeodesicField> FieldCache::find(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  uses_.splice(uses_.begin(), uses_, found->second.use);
  return found->second.field;
}

std::shared_ptr<const GeodesicField> FieldCache::get(
    const std::shared_ptr<const LoadedHouse>& house, const Key& key) {
  if (auto field = find(key)) return field;
  // Computed without the lock: two threads may do the same work, never wait for each other's.
  auto field = std::make_shared<const GeodesicField>(
      field_to_goal(*house, std::get<Goal>(key), std::get<std::vector<std::int32_t>>(key)));
  const std::lock_guard lock(mutex_);
  uses_.push_front(key);
  const auto [place, is_new] = entries_.try_emplace(key, Entry{house, field, uses_.begin()});
  if (!is_new) {
    uses_.pop_front();
    return place->second.field;
  }
  bytes_ += bytes_of(*field);
  while (bytes_ > capacity_ && entries_.size() > 1) {
    const auto oldest = entries_.find(uses_.back());
    bytes_ -= bytes_of(*oldest->second.field);
    entries_.erase(oldest);
    uses_.pop_back();
  }
  return field;
}

std::shared_ptr<const GeodesicField> FieldCache::get(
    const std::shared_ptr<const LoadedHouse>& house, const EpisodeSpec& spec,
    std::uint64_t rooms_seen) {
  const auto goal = static_cast<Goal>(spec.goal);
  const auto to_rooms = [&](std::uint64_t rooms) {
    return get(house, {house.get(), Goal::kEnterRoom, rooms_of(rooms)});
  };
  if (goal == Goal::kEnterRoom) return to_rooms(spec.target_rooms);
  if (goal == Goal::kVisitRooms) {
    const std::size_t num_rooms = std::min<std::size_t>(house->house.rooms.size(), kMaxRooms);
    const std::uint64_t left = ~std::uint64_t{0} >> (kMaxRooms - num_rooms) & ~rooms_seen;
    return left == 0 ? nullptr : to_rooms(left);
  }
  if (spec.num_targets == 0) return nullptr;
  const auto* first = spec.targets.data();
  return get(house, {house.get(), goal, {first, first + spec.num_targets}});
}

}  // namespace flare::sim
