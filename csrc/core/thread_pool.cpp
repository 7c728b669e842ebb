#include "core/thread_pool.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace flare {

namespace {

/// A waiting thread looks this long for work before it sleeps: waking one takes up to a tenth of a
/// millisecond, as long as whole steps of small worlds.
constexpr std::chrono::microseconds kLooksFor{50};

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Is the condition true within kLooksFor?
template <typename Condition>
bool spin_until(const Condition& condition) {
  constexpr int kLooksPerClock = 64;
  const auto end = std::chrono::steady_clock::now() + kLooksFor;
  do {
    for (int i = 0; i < kLooksPerClock; ++i) {
      if (condition()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return condition();
}

}  // namespace

struct ThreadPool::State {
  std::mutex mutex;
  std::condition_variable start;
  std::condition_variable finished;
  std::exception_ptr error;     // guarded by mutex
  Function function = nullptr;  // written before a generation starts
  void* context = nullptr;
  std::size_t count = 0;
  std::vector<std::thread> threads;
  // Changed with the mutex held, so that no sleeper misses a change; looked at without it.
  // Released with what a thread has written, acquired by who reads that.
  alignas(64) std::atomic<std::uint64_t> generation{0};
  std::atomic<bool> stopping{false};
  alignas(64) std::atomic<int> running{0};
  alignas(64) std::atomic<std::size_t> next{0};

  void work(int thread) {
    try {
      // Relaxed: an index only has to be unique; generation and running order everything else.
      for (std::size_t i = next.fetch_add(1, std::memory_order_relaxed); i < count;
           i = next.fetch_add(1, std::memory_order_relaxed)) {
        function(context, i, thread);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
      next.store(count, std::memory_order_relaxed);
    }
  }

  void loop(int thread) {
    std::uint64_t seen = 0;
    const auto is_called = [&] {
      return stopping.load(std::memory_order_acquire) ||
             generation.load(std::memory_order_acquire) != seen;
    };
    while (true) {
      if (!spin_until(is_called)) {
        std::unique_lock lock(mutex);
        start.wait(lock, is_called);
      }
      if (stopping.load(std::memory_order_acquire)) return;
      seen = generation.load(std::memory_order_acquire);
      work(thread);
      const std::lock_guard lock(mutex);
      if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) finished.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int num_threads) : state_(std::make_unique<State>()) {
  for (int i = 1; i < num_threads; ++i) {
    state_->threads.emplace_back([state = state_.get(), i] { state->loop(i); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping.store(true, std::memory_order_release);
  }
  state_->start.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

int ThreadPool::num_threads() const { return static_cast<int>(state_->threads.size()) + 1; }

void ThreadPool::run(std::size_t count, Function function, void* context) {
  State& s = *state_;
  {
    const std::lock_guard lock(s.mutex);
    s.function = function;
    s.context = context;
    s.count = count;
    s.next.store(0, std::memory_order_relaxed);
    s.error = nullptr;
    s.running.store(static_cast<int>(s.threads.size()), std::memory_order_relaxed);
    s.generation.fetch_add(1, std::memory_order_release);
  }
  s.start.notify_all();
  s.work(0);
  const auto is_done = [&] { return s.running.load(std::memory_order_acquire) == 0; };
  const bool is_seen = spin_until(is_done);
  std::unique_lock lock(s.mutex);  // the last thread has let go of it before this returns
  if (!is_seen) s.finished.wait(lock, is_done);
  if (s.error) std::rethrow_exception(s.error);
}

}  // namespace flare
