// The environment's side of one slot: a worker process takes a request, writes its rows of the
// arrays, and hands the slot back.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "rollout/process_watch.hpp"
#include "rollout/rollout_buffer.hpp"

namespace flare {

/// Registers this process as the slot's worker for as long as the object lives. One thread at a
/// time; a process may hold many slots.
class WorkerSlot {
 public:
  /// @throws StateError if the slot has a worker; ShapeError for a bad env.
  WorkerSlot(std::shared_ptr<RolloutBuffer> buffer, std::int32_t env);

  /// Leaves the slot. A request that was taken and not answered makes it kDead: the policy hears of
  /// it at once.
  ~WorkerSlot();
  WorkerSlot(const WorkerSlot&) = delete;
  WorkerSlot& operator=(const WorkerSlot&) = delete;
  WorkerSlot(WorkerSlot&&) = delete;
  WorkerSlot& operator=(WorkerSlot&&) = delete;

  /// Sleeps until the policy sends a request and takes it; nothing when the time is over.
  /// @throws StateError if the last request was not finished, or the buffer's creator is gone.
  std::optional<Request> wait_action(std::chrono::nanoseconds timeout);

  /// finish_step, where a request is taken, and wait_action.
  std::optional<Request> next_request(std::chrono::nanoseconds timeout);

  /// Hands the written rows over. @throws StateError without a taken request.
  void finish_step();

  /// What the destructor does, sooner; twice is once.
  void leave();

  [[nodiscard]] std::int32_t env() const { return env_; }

 private:
  void publish(SlotState state);

  std::shared_ptr<RolloutBuffer> buffer_;
  std::int32_t env_;
  Slot* slot_;  // null once left
  pid_t pid_;   // a forked child inherits the object but not the slot
  ProcessWatch owner_;
};

}  // namespace flare
