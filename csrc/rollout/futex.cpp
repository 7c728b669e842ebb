#include "rollout/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>
#include <type_traits>

namespace flare {

static_assert(std::is_same_v<std::chrono::steady_clock::duration, std::chrono::nanoseconds>);
static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t) &&
                  std::atomic<std::uint32_t>::is_always_lock_free,
              "the kernel reads the atomic as a plain word");

bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::steady_clock::time_point end) {
  // The bitset call takes a point in time of CLOCK_MONOTONIC, which steady_clock is on Linux.
  const auto nanoseconds = std::max<std::int64_t>(end.time_since_epoch().count(), 0);
  timespec limit{};
  limit.tv_sec = nanoseconds / 1'000'000'000;
  limit.tv_nsec = nanoseconds % 1'000'000'000;
  // Every other outcome (woken, word differs, signal) means the same: look again.
  return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, &limit, nullptr,
                 FUTEX_BITSET_MATCH_ANY) == 0 ||
         errno != ETIMEDOUT;
}

void futex_wake(const std::atomic<std::uint32_t>& word) {
  (void)syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace flare
