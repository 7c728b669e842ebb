// Sleeping on a word of shared memory until another process changes it (futex(2), shared).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace flare {

/// Sleeps while `word` holds `expected`, for at most `timeout`. May return early without a change:
/// the caller looks again.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::nanoseconds timeout);

/// Wakes every process that sleeps on `word`.
void futex_wake_all(const std::atomic<std::uint32_t>& word);

/// A few microseconds of polling before a sleep: a fast partner answers within them, and a slow one
/// must not cost a core. Does nothing on a machine with one processor.
/// @return whether `is_done()` held.
template <typename Condition>
bool spin_briefly(const Condition& is_done);

/// Rounds of spin_briefly; 0 on a machine with one processor.
int spin_rounds();

/// Tells the processor that this is a polling loop.
inline void spin_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

template <typename Condition>
bool spin_briefly(const Condition& is_done) {
  for (int round = spin_rounds(); round > 0; --round) {
    if (is_done()) return true;
    spin_pause();
  }
  return is_done();
}

}  // namespace flare
