// The hand-over of one environment's slot between the policy and the process that simulates it.
//
//            send_actions                wait_action                 finish_step
//   kIdle ─────────────────▶ kActionReady ─────────▶ kWorking ─────────────────▶ kObservationReady
//     ▲                                                                                 │
//     └──────────────────────────────── take_ready ──────────────────────────────────┘
//
// The state names the one side that may write the slot's arrays: the policy in kIdle (action,
// log_prob, value), the worker in kWorking (frames, facts), nobody in between. Each arrow is a
// release store of the side that gives and an acquire load of the side that takes, so that arrays
// need no atomics. kDead: the worker ended in between; `reclaim` leads back to kIdle.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace flare {

inline constexpr std::size_t kCacheLine = 64;

enum class SlotState : std::uint32_t {
  kIdle = 0,
  kActionReady = 1,
  kWorking = 2,
  kObservationReady = 3,
  kDead = 4,
};

/// What the policy asks of a worker.
enum class Command : std::uint32_t {
  kStep = 0,   // apply the action at `step`, write the observation at `step + 1`
  kReset = 1,  // start an episode, write the observation at `step`
  kClose = 2,  // leave the slot; no observation follows
};

struct Request {
  Command command = Command::kStep;
  std::uint32_t step = 0;  // row of the arrays
};

/// In shared memory: two cache lines, so that a worker that announces its sleep does not take the
/// line away on which the policy hands over.
struct Slot {
  // Written by whoever hands over.
  alignas(kCacheLine) std::atomic<std::uint32_t> state;  // the worker sleeps on it
  Request request;                                       // written in kIdle, read in kWorking

  // Written by the worker, by the policy only when no worker lives.
  alignas(kCacheLine) std::atomic<std::uint32_t> is_worker_waiting;
  std::atomic<std::uint32_t> is_attached;
  std::atomic<std::int32_t> worker_pid;  // 0: no worker
  std::atomic<std::uint64_t> worker_start_time;

  [[nodiscard]] SlotState load() const {
    return static_cast<SlotState>(state.load(std::memory_order_acquire));
  }
};

static_assert(sizeof(Slot) == 2 * kCacheLine);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace flare
