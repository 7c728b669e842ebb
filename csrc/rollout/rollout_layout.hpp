// Where the header, the slots and the arrays stand in the shared memory. All of it is written into
// the memory, so that a process needs nothing but the memory to attach.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/array_spec.hpp"
#include "rollout/slot_state.hpp"

namespace flare {

/// First bytes of the memory.
struct RolloutHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t num_envs;
  std::uint64_t total_bytes;
  std::uint64_t token;  // random; tells this buffer from any other with the same descriptor number
  std::uint64_t num_arrays;
  std::uint64_t texts_offset;  // dtype descriptions, one after another
  std::uint64_t texts_bytes;
  std::uint64_t slots_offset;
  std::uint64_t owner_start_time;
  std::int32_t owner_pid;

  // Counts finished steps of all slots (wraps); the policy sleeps on it.
  alignas(kCacheLine) std::atomic<std::uint32_t> num_finished;
  // Written by the policy: workers wake it once num_finished has reached wake_at.
  alignas(kCacheLine) std::atomic<std::uint32_t> is_policy_waiting;
  std::atomic<std::uint32_t> wake_at;
};

struct PlacedArray {
  ArraySpec spec;
  std::size_t offset = 0;  // bytes from the start of the memory; a multiple of 64, or of the page
};

class RolloutLayout {
 public:
  static constexpr std::uint64_t kMagic = 0x5455'4F4C'4C4F'5231ULL;
  static constexpr std::uint32_t kVersion = 3;

  /// Places the arrays. @throws ShapeError or DtypeError for a bad spec, a repeated name, no array
  /// or no environment.
  RolloutLayout(const std::vector<ArraySpec>& specs, std::size_t num_envs);

  /// Reads and checks what write() left. @throws SharedMemoryError if this is no rollout buffer, of
  /// another version, or does not fit its memory.
  static RolloutLayout read(const std::byte* memory, std::size_t bytes);

  /// Writes header, array table and slots into zeroed memory of total_bytes().
  void write(std::byte* memory, std::uint64_t token) const;

  [[nodiscard]] std::size_t total_bytes() const { return total_bytes_; }
  [[nodiscard]] std::size_t num_envs() const { return num_envs_; }
  [[nodiscard]] std::size_t slots_offset() const { return slots_offset_; }
  [[nodiscard]] const std::vector<PlacedArray>& arrays() const { return arrays_; }

  /// @throws StateError if there is none of that name; the message lists those that are.
  [[nodiscard]] const PlacedArray& find(const std::string& name) const;

 private:
  RolloutLayout() = default;

  std::vector<PlacedArray> arrays_;
  std::size_t num_envs_ = 0;
  std::size_t texts_offset_ = 0;
  std::size_t texts_bytes_ = 0;
  std::size_t slots_offset_ = 0;
  std::size_t total_bytes_ = 0;
};

}  // namespace flare
