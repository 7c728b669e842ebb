// Counter-based random numbers: a value is a pure function of its key, so no order of calls, number
// of threads or restart can change it. The hash is SplitMix64's finaliser (Steele et al. 2014,
// "Fast splittable pseudorandom number generators") chained over the words of the key.
// flare/rng.py computes the same numbers; tests/test_rng.py compares the two.
#pragma once

#include <cstdint>

namespace flare {

inline std::uint64_t mix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31U);
}

/// Random bits of the key (seed, env, episode, step, draw).
inline std::uint64_t keyed_bits(std::uint64_t seed, std::uint64_t env, std::uint64_t episode,
                                std::uint64_t step, std::uint64_t draw) {
  std::uint64_t h = mix64(seed);
  h = mix64(h ^ env);
  h = mix64(h ^ episode);
  h = mix64(h ^ step);
  return mix64(h ^ draw);
}

/// Uniform in [0, 1), 24 bits.
inline float keyed_uniform(std::uint64_t seed, std::uint64_t env, std::uint64_t episode,
                           std::uint64_t step, std::uint64_t draw) {
  return static_cast<float>(keyed_bits(seed, env, episode, step, draw) >> 40U) * 0x1.0p-24F;
}

}  // namespace flare
