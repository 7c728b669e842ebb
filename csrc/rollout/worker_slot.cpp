#include "rollout/worker_slot.hpp"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "rollout/futex.hpp"

namespace flare {

WorkerSlot::WorkerSlot(std::shared_ptr<RolloutBuffer> buffer, std::int32_t env)
    : buffer_(std::move(buffer)),
      env_(env),
      slot_(&buffer_->slot(env)),
      pid_(getpid()),
      owner_({buffer_->header().owner_pid, buffer_->header().owner_start_time}) {
  std::uint32_t free = 0;
  if (!slot_->is_attached.compare_exchange_strong(free, 1, std::memory_order_acq_rel)) {
    throw StateError("slot " + std::to_string(env) + " already has a worker");
  }
  std::int32_t nobody = 0;
  if (!slot_->worker_pid.compare_exchange_strong(nobody, pid_, std::memory_order_acq_rel) &&
      nobody != pid_) {
    slot_->is_attached.store(0, std::memory_order_release);
    throw StateError("slot " + std::to_string(env) + " waits for process " +
                     std::to_string(nobody) + ", not for " + std::to_string(pid_));
  }
  slot_->worker_start_time.store(identify_process(pid_).start_time, std::memory_order_release);
}

WorkerSlot::~WorkerSlot() { leave(); }

std::optional<Request> WorkerSlot::wait_action(std::chrono::nanoseconds timeout) {
  using Clock = std::chrono::steady_clock;
  if (slot_ == nullptr) throw StateError("wait_action: the worker has left its slot");
  if (slot_->load() == SlotState::kWorking) {
    throw StateError("wait_action: slot " + std::to_string(env_) +
                     " has an unfinished request; call finish_step first");
  }
  constexpr auto kReady = static_cast<std::uint32_t>(SlotState::kActionReady);
  const auto start = Clock::now();
  while (slot_->load() != SlotState::kActionReady) {
    const auto now = Clock::now();
    const auto left = timeout - (now - start);
    if (left <= std::chrono::nanoseconds::zero()) return std::nullopt;
    const auto end = now + std::min<std::chrono::nanoseconds>(left, RolloutBuffer::kLivenessPeriod);
    // Announce first, look second: see RolloutBuffer::send_actions for the other half.
    slot_->is_worker_waiting.store(1, std::memory_order_seq_cst);
    const std::uint32_t seen = slot_->state.load(std::memory_order_seq_cst);
    const bool is_over = seen != kReady && !futex_wait(slot_->state, seen, end);
    slot_->is_worker_waiting.store(0, std::memory_order_relaxed);
    // Only after a sleep that nobody ended: looking costs a system call.
    if (is_over && !owner_.is_alive()) {
      throw StateError("wait_action: process " + std::to_string(owner_.process().pid) +
                       ", which made the rollout buffer, is gone");
    }
  }
  slot_->state.store(static_cast<std::uint32_t>(SlotState::kWorking), std::memory_order_relaxed);
  return slot_->request;
}

void WorkerSlot::finish_step() {
  if (slot_ == nullptr || slot_->load() != SlotState::kWorking) {
    throw StateError("finish_step: slot " + std::to_string(env_) +
                     " has no taken request; call wait_action first");
  }
  publish(SlotState::kObservationReady);
}

std::optional<Request> WorkerSlot::next_request(std::chrono::nanoseconds timeout) {
  if (slot_ != nullptr && slot_->load() == SlotState::kWorking) finish_step();
  return wait_action(timeout);
}

void WorkerSlot::publish(SlotState state) {
  RolloutHeader& h = buffer_->header();
  slot_->state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
  const std::uint32_t finished = h.num_finished.fetch_add(1, std::memory_order_seq_cst) + 1;
  if (h.is_policy_waiting.load(std::memory_order_seq_cst) == 0) return;
  // The count wraps, so "reached" is the sign of the difference.
  const auto ahead =
      static_cast<std::int32_t>(finished - h.wake_at.load(std::memory_order_seq_cst));
  if (ahead >= 0 || state == SlotState::kDead) futex_wake(h.num_finished);
}

void WorkerSlot::leave() {
  if (slot_ == nullptr) return;
  Slot& s = *std::exchange(slot_, nullptr);
  if (getpid() != pid_) return;
  const bool is_working = s.load() == SlotState::kWorking;
  const bool is_closing = is_working && s.request.command == Command::kClose;
  if (is_closing) {
    s.state.store(static_cast<std::uint32_t>(SlotState::kIdle), std::memory_order_release);
  } else if (is_working) {
    slot_ = &s;
    publish(SlotState::kDead);
    slot_ = nullptr;
    return;  // still attached: reclaim() frees the slot
  }
  s.worker_start_time.store(0, std::memory_order_relaxed);
  s.worker_pid.store(0, std::memory_order_release);
  s.is_attached.store(0, std::memory_order_release);
}

}  // namespace flare
