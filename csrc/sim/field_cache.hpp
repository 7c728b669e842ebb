// Geodesic fields by (house, goal), so that episodes with the same goal share one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <tuple>
#include <vector>

#include "sim/loaded_house.hpp"

namespace flare::sim {

/// The field that leads to one goal of a house.
/// @param ids  target objects; for Goal::kEnterRoom rooms below kMaxRooms
GeodesicField field_to_goal(const LoadedHouse& house, Goal goal, std::span<const std::int32_t> ids);

/// Least-recently-used, safe from several threads. A field is a function of its key alone, so
/// neither eviction nor the order of calls changes a result.
class FieldCache {
 public:
  /// @param capacity_bytes  fields beyond it are dropped, oldest use first
  explicit FieldCache(std::size_t capacity_bytes) : capacity_(capacity_bytes) {}

  /// What leads to the goal of an episode that World::check accepts: of visit_rooms to the rooms
  /// that are left. nullptr where there is nothing to lead to.
  std::shared_ptr<const GeodesicField> get(const std::shared_ptr<const LoadedHouse>& house,
                                           const EpisodeSpec& spec, std::uint64_t rooms_seen);

 private:
  /// House, goal, and its target objects or the words of its set of rooms.
  using Key = std::tuple<const LoadedHouse*, Goal, std::vector<std::int32_t>>;
  struct Entry {
    std::shared_ptr<const LoadedHouse> house;  // keeps the key's address taken
    std::shared_ptr<const GeodesicField> field;
    std::list<Key>::iterator use;
  };
  std::shared_ptr<const GeodesicField> find(const Key& key);
  std::shared_ptr<const GeodesicField> get(const std::shared_ptr<const LoadedHouse>& house,
                                           const Key& key);

  std::size_t capacity_;
  std::mutex mutex_;
  std::size_t bytes_ = 0;  // guarded by mutex_, as are the two below
  std::list<Key> uses_;    // most recent first
  std::map<Key, Entry> entries_;
};

}  // namespace flare::sim
