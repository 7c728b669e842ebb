#include "sim/field_cache.hpp"

namespace flare::sim {
namespace {

std::size_t bytes_of(const GeodesicField& field) {
  return field.distance.size() * (sizeof(float) + sizeof(std::int32_t) + sizeof(std::int8_t));
}

}  // namespace

std::shared_ptr<const GeodesicField> FieldCache::find(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  uses_.splice(uses_.begin(), uses_, found->second.use);
  return found->second.field;
}

std::shared_ptr<const GeodesicField> FieldCache::get(
    const std::shared_ptr<const LoadedHouse>& house, std::span<const std::int32_t> targets) {
  if (targets.empty()) return nullptr;
  const Key key = {house.get(), {targets.begin(), targets.end()}};
  if (auto field = find(key)) return field;
  // Computed without the lock: two threads may do the same work, never wait for each other's.
  auto field = std::make_shared<const GeodesicField>(house->grid.field_to_objects(
      house->house, house->collision, targets, World::kVisibilityDistance));
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

}  // namespace flare::sim
