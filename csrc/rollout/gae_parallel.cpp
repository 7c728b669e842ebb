#include "rollout/gae_parallel.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>

#include "core/thread_pool.hpp"

namespace flare {
namespace {

constexpr std::size_t kElementsPerThread = 1U << 18U;  // below, waking a thread costs more
constexpr std::size_t kColumnStep = 16;                // floats of a cache line: no line is shared
constexpr std::size_t kStreamBytes = 8U << 20U;        // outputs above this do not stay in a cache

/// The threads, kept between calls. A forked child has none of its parent's, so it starts its own.
class SharedPool {
 public:
  SharedPool() = default;
  ~SharedPool() { forget_after_fork(); }
  SharedPool(const SharedPool&) = delete;
  SharedPool& operator=(const SharedPool&) = delete;
  SharedPool(SharedPool&&) = delete;
  SharedPool& operator=(SharedPool&&) = delete;

  template <typename Body>
  void parallel_for(int num_threads, std::size_t count, Body&& body) {
    const std::lock_guard lock(mutex_);
    forget_after_fork();
    if (!pool_ || pool_->num_threads() != num_threads) {
      pool_ = std::make_unique<ThreadPool>(num_threads);
      pid_ = getpid();
    }
    pool_->parallel_for(count, body);
  }

 private:
  void forget_after_fork() {
    // Joining threads that do not exist here would never return, so the object is let go instead.
    if (pool_ && pid_ != getpid()) (void)pool_.release();
  }

  std::mutex mutex_;
  std::unique_ptr<ThreadPool> pool_;
  pid_t pid_ = 0;
};

int choose_threads(int asked, std::size_t elements, std::size_t parts) {
  // Asked once: the answer costs as much as a small rollout.
  static const std::size_t machine = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t worth = std::min(machine, elements / kElementsPerThread + 1);
  const std::size_t wanted = asked > 0 ? static_cast<std::size_t>(asked) : worth;
  return static_cast<int>(std::clamp<std::size_t>(parts, 1, wanted));
}

template <typename Body>
void run(int num_threads, std::size_t parts, Body&& body) {
  if (num_threads == 1) {
    for (std::size_t part = 0; part < parts; ++part) body(part, 0);
    return;
  }
  static SharedPool shared_pool;
  shared_pool.parallel_for(num_threads, parts, body);
}

/// The input without its valid flags if every step is: only then the vector kernels take it.
template <typename Input>
Input drop_needless_flags(Input in) {
  const auto& valid = in.valid;
  if (valid.size() != 0 && std::memchr(valid.data(), 0, valid.size()) == nullptr) in.valid = {};
  return in;
}

}  // namespace

void compute_gae_parallel(const GaeInput& input, const GaeOutput& out, const GaeSettings& settings,
                          int num_threads) {
  const GaeInput in = drop_needless_flags(input);
  const std::size_t num_envs = in.rewards.shape(1);
  const bool stream = 2 * in.rewards.size() * sizeof(float) > kStreamBytes;
  const std::size_t lines = (num_envs + kColumnStep - 1) / kColumnStep;
  const auto threads =
      static_cast<std::size_t>(choose_threads(num_threads, in.rewards.size(), lines));
  const std::size_t width = (lines + threads - 1) / threads * kColumnStep;
  run(static_cast<int>(threads), threads, [&](std::size_t part, int) {
    const std::size_t begin = std::min(part * width, num_envs);
    compute_gae(in, out, settings, begin, std::min(begin + width, num_envs), stream);
  });
}

void compute_gae_segments_parallel(const GaeSegmentsInput& input, const GaeSegmentsOutput& out,
                                   const GaeSettings& settings, int num_threads) {
  const GaeSegmentsInput in = drop_needless_flags(input);
  const std::size_t segments = in.bootstrap_values.size();
  const int threads = choose_threads(num_threads, in.rewards.size(), segments);
  // More parts than threads: segments differ in length.
  const std::size_t parts =
      threads == 1 ? 1 : std::min<std::size_t>(segments, 8U * static_cast<unsigned>(threads));
  run(threads, parts, [&](std::size_t part, int) {
    compute_gae_segments(in, out, settings, segments * part / parts, segments * (part + 1) / parts);
  });
}

}  // namespace flare
