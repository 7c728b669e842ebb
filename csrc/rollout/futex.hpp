// Sleeping on a word of shared memory until another process changes it (futex(2), shared).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace flare {

/// Sleeps while `word` holds `expected`, until `end` at the latest. May return early without a
/// change: the caller looks again. @return false if the time was over.
bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::steady_clock::time_point end);

/// Wakes every process that sleeps on `word`.
void futex_wake(const std::atomic<std::uint32_t>& word);

}  // namespace flare
