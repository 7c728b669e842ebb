// The arrays of a rollout in shared memory, and the policy's side of the hand-over of slots. The
// environment's side is worker_slot.hpp; the states are slot_state.hpp.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/shared_memory.hpp"
#include "rollout/process_watch.hpp"
#include "rollout/rollout_layout.hpp"

namespace flare {

/// What wait_ready found; environments ascend.
struct ReadyEnvs {
  std::vector<std::int32_t> ready;  // observation written, slot is the policy's again
  std::vector<std::int32_t> dead;   // worker ended, reported once; reclaim() the slot
};

/// One process creates it and acts as the policy; it calls the members below from one thread at a
/// time. Other processes attach and only use WorkerSlot and the arrays.
class RolloutBuffer {
 public:
  using Nanoseconds = std::chrono::nanoseconds;
  static constexpr Nanoseconds kForever = Nanoseconds::max();
  /// How often a wait looks whether workers live: well below the second it may take to notice.
  static constexpr Nanoseconds kLivenessPeriod = std::chrono::milliseconds(100);

  /// @param name empty: no name (memfd); else POSIX shared memory of that name.
  /// @throws SharedMemoryError, ShapeError, DtypeError.
  static RolloutBuffer create(const std::vector<ArraySpec>& specs, std::size_t num_envs,
                              const std::string& name);

  /// @param token as token() of the creator said; 0 skips the check.
  /// @throws SharedMemoryError if the memory holds no buffer, or another one.
  static RolloutBuffer attach(SharedMemory memory, std::uint64_t token);

  [[nodiscard]] const RolloutLayout& layout() const { return layout_; }
  [[nodiscard]] const SharedMemory& memory() const { return memory_; }
  [[nodiscard]] std::uint64_t token() const { return header().token; }
  [[nodiscard]] std::size_t num_envs() const { return layout_.num_envs(); }
  /// First byte of an array. @throws StateError if there is none of that name.
  [[nodiscard]] std::byte* array(const std::string& name) const;

  /// Hands slots to their workers. @param steps one row for all of envs, or one for each.
  /// @throws StateError, and changes nothing, unless every slot is kIdle; ShapeError for a bad env.
  void send_actions(std::span<const std::int32_t> envs, std::span<const std::uint32_t> steps,
                    Command command);

  /// Sleeps until at least min_count slots are ready or a worker died. @return whether so, false
  /// when the time is over. @throws StateError if fewer than min_count slots are in flight.
  bool wait_until_ready(std::size_t min_count, Nanoseconds timeout);

  /// Takes back every ready slot, without waiting.
  ReadyEnvs take_ready();

  /// wait_until_ready, then take_ready: fewer than min_count slots when the time is over.
  ReadyEnvs wait_ready(std::size_t min_count, Nanoseconds timeout);

  /// Says that process pid will attach to this slot, so that its death is noticed even before it
  /// attaches. @throws StateError if the slot has a worker.
  void expect_worker(std::int32_t env, pid_t pid);

  /// Frees the slot of a worker that is gone: kIdle, ready for a replacement and a new request.
  /// @throws StateError if the worker lives.
  void reclaim(std::int32_t env);

  /// Where a slot stands, for tests and error messages.
  [[nodiscard]] SlotState state(std::int32_t env) const { return slot(env).load(); }

  // For WorkerSlot: the header and the slots. @throws ShapeError for a bad env.
  [[nodiscard]] RolloutHeader& header() const;
  [[nodiscard]] Slot& slot(std::int32_t env) const;

 private:
  RolloutBuffer(SharedMemory memory, RolloutLayout layout);

  struct Counts {
    std::size_t ready = 0, in_flight = 0, unreported_dead = 0;
  };
  [[nodiscard]] Counts count() const;
  [[nodiscard]] bool worker_lives(std::int32_t env);
  void mark_dead_workers();

  SharedMemory memory_;
  RolloutLayout layout_;
  std::vector<std::optional<ProcessWatch>>
      watches_;  // of each slot's worker, opened when first seen
  std::vector<bool> is_death_reported_;
  std::vector<bool> is_named_;  // by the call of send_actions that runs
  std::chrono::steady_clock::time_point next_liveness_check_;
};

}  // namespace flare
