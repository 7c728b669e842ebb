#include "core/thread_pool.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace flare {

struct ThreadPool::State {
  std::mutex mutex;
  std::condition_variable start;
  std::condition_variable finished;
  std::uint64_t generation = 0;  // guarded by mutex
  int running = 0;               // guarded by mutex
  bool stopping = false;         // guarded by mutex
  std::exception_ptr error;      // guarded by mutex
  Function function = nullptr;   // written before a generation starts
  void* context = nullptr;
  std::size_t count = 0;
  alignas(64) std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;

  void work(int thread) {
    try {
      // Relaxed: an index only has to be unique; the mutex orders everything else.
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
    while (true) {
      {
        std::unique_lock lock(mutex);
        start.wait(lock, [&] { return stopping || generation != seen; });
        if (stopping) return;
        seen = generation;
      }
      work(thread);
      const std::lock_guard lock(mutex);
      if (--running == 0) finished.notify_one();
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
    state_->stopping = true;
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
    s.running = static_cast<int>(s.threads.size());
    ++s.generation;
  }
  s.start.notify_all();
  s.work(0);
  std::unique_lock lock(s.mutex);
  s.finished.wait(lock, [&] { return s.running == 0; });
  if (s.error) std::rethrow_exception(s.error);
}

}  // namespace flare
