// One step of the recursion in gae.hpp for one column. The vector code does the same operations in
// the same order, so that both give the same bits.
#pragma once

#include <cstdint>

#include "rollout/gae.hpp"

namespace flare {

struct GaeFactors {
  float gamma;
  float decay;  // gamma lambda
  bool truncation_is_terminal;

  explicit GaeFactors(const GaeSettings& settings)
      : gamma(settings.gamma),
        decay(settings.gamma * settings.gae_lambda),
        truncation_is_terminal(settings.truncation_is_terminal) {}
};

/// A_t from A_{t+1}. @param final_value  read only where truncated and not terminated
inline float gae_step(const GaeFactors& factors, float reward, float value, float next_value,
                      bool terminated, bool truncated, bool valid, const float& final_value,
                      float next_advantage) {
  if (!valid) return 0.0F;
  const bool is_ended = terminated || truncated;
  if (is_ended) {
    next_value = terminated || factors.truncation_is_terminal ? 0.0F : final_value;
    next_advantage = 0.0F;
  }
  const float delta = reward + factors.gamma * next_value - value;
  return delta + factors.decay * next_advantage;
}

}  // namespace flare
