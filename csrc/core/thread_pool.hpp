// A fixed set of threads that run one loop at a time. No allocation per call, no work stealing:
// which thread runs which index never changes a result, because each index owns its outputs.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace flare {

class ThreadPool {
 public:
  /// @param num_threads >= 1, the calling thread included.
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ThreadPool(ThreadPool&&) = delete;
  ThreadPool& operator=(ThreadPool&&) = delete;

  [[nodiscard]] int num_threads() const;

  /// Runs body(index, thread) for every index in [0, count) and returns when all are done. Indices
  /// are handed out one by one. The first exception of a body is rethrown here. Call from one
  /// thread at a time.
  template <typename Body>
  void parallel_for(std::size_t count, Body&& body) {
    using Stored = std::remove_reference_t<Body>;
    run(
        count,
        [](void* context, std::size_t index, int thread) {
          (*static_cast<Stored*>(context))(index, thread);
        },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Function = void (*)(void* context, std::size_t index, int thread);
  void run(std::size_t count, Function function, void* context);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flare
