#include "rollout/rollout_buffer.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <new>
#include <string_view>
#include <utility>

#include "core/assert.hpp"
#include "core/error.hpp"
#include "rollout/futex.hpp"

namespace flare {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t random_token() {
  std::uint64_t token = 0;
  if (getrandom(&token, sizeof token, 0) != sizeof token) {
    throw SharedMemoryError("the kernel gave no random bytes for the buffer's token");
  }
  return token | 1U;  // 0 means "any" to attach()
}

std::string_view state_name(SlotState state) {
  static constexpr std::array<std::string_view, 5> kNames{"idle", "action ready", "working",
                                                          "observation ready", "dead"};
  return kNames.at(static_cast<std::size_t>(state));
}

std::string describe(std::int32_t env, SlotState state) {
  return "slot " + std::to_string(env) + " is " + std::string(state_name(state));
}

/// The end of a wait; `timeout` may be kForever.
Clock::time_point deadline_after(RolloutBuffer::Nanoseconds timeout) {
  const auto now = Clock::now();
  return timeout < Clock::time_point::max() - now ? now + timeout : Clock::time_point::max();
}

}  // namespace

RolloutBuffer::RolloutBuffer(SharedMemory memory, RolloutLayout layout)
    : memory_(std::move(memory)),
      layout_(std::move(layout)),
      watches_(layout_.num_envs()),
      is_death_reported_(layout_.num_envs(), false),
      is_named_(layout_.num_envs(), false),
      next_liveness_check_(Clock::now()) {}

RolloutBuffer RolloutBuffer::create(const std::vector<ArraySpec>& specs, std::size_t num_envs,
                                    const std::string& name) {
  RolloutLayout layout(specs, num_envs);
  SharedMemory memory = name.empty() ? SharedMemory::create(layout.total_bytes())
                                     : SharedMemory::create_named(name, layout.total_bytes());
  layout.write(memory.data(), random_token());
  return {std::move(memory), std::move(layout)};
}

RolloutBuffer RolloutBuffer::attach(SharedMemory memory, std::uint64_t token) {
  RolloutLayout layout = RolloutLayout::read(memory.data(), memory.size());
  RolloutBuffer buffer(std::move(memory), std::move(layout));
  if (token != 0 && buffer.token() != token) {
    throw SharedMemoryError(
        "the handle points to another rollout buffer; its creator has let go of the right one");
  }
  return buffer;
}

RolloutHeader& RolloutBuffer::header() const {
  return *std::launder(reinterpret_cast<RolloutHeader*>(memory_.data()));
}

Slot& RolloutBuffer::slot(std::int32_t env) const {
  if (env < 0 || static_cast<std::size_t>(env) >= num_envs()) {
    throw ShapeError("environment " + std::to_string(env) + " is not in [0, " +
                     std::to_string(num_envs()) + ")");
  }
  std::byte* at =
      memory_.data() + layout_.slots_offset() + static_cast<std::size_t>(env) * sizeof(Slot);
  return *std::launder(reinterpret_cast<Slot*>(at));
}

std::byte* RolloutBuffer::array(const std::string& name) const {
  return memory_.data() + layout_.find(name).offset;
}

void RolloutBuffer::send_actions(std::span<const std::int32_t> envs,
                                 std::span<const std::uint32_t> steps, Command command) {
  FLARE_ASSERT(steps.size() == 1 || envs.size() == steps.size());
  std::fill(is_named_.begin(), is_named_.end(), false);
  for (const std::int32_t env : envs) {
    const SlotState now = slot(env).load();
    if (now != SlotState::kIdle || is_named_[static_cast<std::size_t>(env)]) {
      const bool is_dead = now == SlotState::kDead;
      throw StateError("send_actions: " + describe(env, now) +
                       (now == SlotState::kIdle ? " and named twice"
                        : is_dead               ? "; reclaim it and start another worker first"
                                                : "; its last request was not received yet"));
    }
    is_named_[static_cast<std::size_t>(env)] = true;
  }
  // One by one: the first works while the last is woken. Sequentially consistent with the worker's
  // announcement of its sleep: either it sees the request, or this side sees that it sleeps.
  for (std::size_t i = 0; i < envs.size(); ++i) {
    Slot& s = slot(envs[i]);
    s.request = {command, steps[steps.size() == 1 ? 0 : i]};
    s.state.store(static_cast<std::uint32_t>(SlotState::kActionReady), std::memory_order_seq_cst);
    if (s.is_worker_waiting.load(std::memory_order_seq_cst) != 0) futex_wake(s.state);
  }
}

RolloutBuffer::Counts RolloutBuffer::count() const {
  Counts counts;
  for (std::size_t i = 0; i < num_envs(); ++i) {
    const Slot& s = slot(static_cast<std::int32_t>(i));
    const SlotState now = s.load();
    if (now == SlotState::kDead) counts.unreported_dead += is_death_reported_[i] ? 0 : 1;
    if (now == SlotState::kObservationReady) ++counts.ready;
    // request is the policy's own word in these states, so reading it races with nobody.
    const bool is_pending = now == SlotState::kActionReady || now == SlotState::kWorking;
    if (is_pending && s.request.command != Command::kClose) ++counts.in_flight;
  }
  counts.in_flight += counts.ready;
  return counts;
}

bool RolloutBuffer::wait_until_ready(std::size_t min_count, Nanoseconds timeout) {
  const auto deadline = deadline_after(timeout);
  RolloutHeader& h = header();
  while (true) {
    if (Clock::now() >= next_liveness_check_) mark_dead_workers();
    const std::uint32_t seen = h.num_finished.load(std::memory_order_seq_cst);
    const Counts counts = count();
    if (counts.ready >= min_count || counts.unreported_dead > 0) return true;
    if (counts.in_flight < min_count) {
      throw StateError("wait_ready: wants " + std::to_string(min_count) + " environments but " +
                       std::to_string(counts.in_flight) +
                       " have a request; call send_actions first");
    }
    const auto now = Clock::now();
    if (now >= deadline) return false;
    // Workers wake this side only when enough of them are done. num_finished is their count and
    // the futex word at once: a step that ends after `seen` was read makes the sleep return.
    h.wake_at.store(seen + static_cast<std::uint32_t>(min_count - counts.ready),
                    std::memory_order_seq_cst);
    h.is_policy_waiting.store(1, std::memory_order_seq_cst);
    (void)futex_wait(h.num_finished, seen, std::min(deadline, now + kLivenessPeriod));
    h.is_policy_waiting.store(0, std::memory_order_relaxed);
  }
}

ReadyEnvs RolloutBuffer::take_ready() {
  ReadyEnvs result;
  for (std::int32_t env = 0; static_cast<std::size_t>(env) < num_envs(); ++env) {
    Slot& s = slot(env);
    const SlotState now = s.load();
    if (now == SlotState::kObservationReady) {
      // Relaxed: between kObservationReady and the next request only this side writes the state.
      s.state.store(static_cast<std::uint32_t>(SlotState::kIdle), std::memory_order_relaxed);
      result.ready.push_back(env);
    } else if (now == SlotState::kDead && !is_death_reported_[static_cast<std::size_t>(env)]) {
      is_death_reported_[static_cast<std::size_t>(env)] = true;
      result.dead.push_back(env);
    }
  }
  return result;
}

ReadyEnvs RolloutBuffer::wait_ready(std::size_t min_count, Nanoseconds timeout) {
  (void)wait_until_ready(min_count, timeout);
  return take_ready();
}

bool RolloutBuffer::worker_lives(std::int32_t env) {
  const Slot& s = slot(env);
  auto& watch = watches_[static_cast<std::size_t>(env)];
  const ProcessId worker{s.worker_pid.load(std::memory_order_acquire),
                         s.worker_start_time.load(std::memory_order_acquire)};
  if (worker.pid == 0) {
    watch.reset();
    return false;
  }
  if (!watch || watch->process() != worker) watch.emplace(worker);
  return watch->is_alive();
}

void RolloutBuffer::mark_dead_workers() {
  next_liveness_check_ = Clock::now() + kLivenessPeriod;
  for (std::int32_t env = 0; static_cast<std::size_t>(env) < num_envs(); ++env) {
    Slot& s = slot(env);
    if (s.load() == SlotState::kDead || s.worker_pid.load(std::memory_order_acquire) == 0 ||
        worker_lives(env)) {
      continue;
    }
    // The process is gone, so the state is final. What it finished before it died counts.
    const SlotState now = s.load();
    const bool is_closed = now != SlotState::kIdle && s.request.command == Command::kClose;
    const bool has_left = s.worker_pid.load(std::memory_order_acquire) == 0;
    if (now == SlotState::kObservationReady || is_closed || has_left) continue;
    s.state.store(static_cast<std::uint32_t>(SlotState::kDead), std::memory_order_release);
  }
}

void RolloutBuffer::expect_worker(std::int32_t env, pid_t pid) {
  Slot& s = slot(env);
  const ProcessId worker = identify_process(pid);
  std::int32_t nobody = 0;
  if (pid <= 0 || !s.worker_pid.compare_exchange_strong(nobody, pid, std::memory_order_acq_rel)) {
    throw StateError("expect_worker: " + describe(env, s.load()) + " and has worker " +
                     std::to_string(nobody) + "; wanted to name " + std::to_string(pid));
  }
  s.worker_start_time.store(worker.start_time, std::memory_order_release);
}

void RolloutBuffer::reclaim(std::int32_t env) {
  Slot& s = slot(env);
  if (s.load() != SlotState::kDead && worker_lives(env)) {
    throw StateError("reclaim: " + describe(env, s.load()) + " and its worker " +
                     std::to_string(s.worker_pid.load(std::memory_order_relaxed)) +
                     " lives; end that process first");
  }
  watches_[static_cast<std::size_t>(env)].reset();
  is_death_reported_[static_cast<std::size_t>(env)] = false;
  s.is_worker_waiting.store(0, std::memory_order_relaxed);
  s.worker_start_time.store(0, std::memory_order_relaxed);
  s.worker_pid.store(0, std::memory_order_relaxed);
  s.state.store(static_cast<std::uint32_t>(SlotState::kIdle), std::memory_order_release);
  s.is_attached.store(0, std::memory_order_release);
}

}  // namespace flare
