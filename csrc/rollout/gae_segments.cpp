#include "rollout/gae.hpp"
#include "rollout/gae_step.hpp"

namespace flare {

void compute_gae_segments(const GaeSegmentsInput& in, const GaeSegmentsOutput& out,
                          const GaeSettings& settings, std::size_t begin, std::size_t end) {
  const GaeFactors factors(settings);
  for (std::size_t s = begin; s < end; ++s) {
    float next_value = in.bootstrap_values(s);
    float advantage = 0.0F;
    const auto first = static_cast<std::size_t>(in.offsets(s));
    for (auto i = static_cast<std::size_t>(in.offsets(s + 1)); i-- > first;) {
      const float value = in.values(i);
      const bool is_valid = in.valid.data() == nullptr || in.valid(i) != 0;
      advantage = gae_step(factors, in.rewards(i), value, next_value, in.terminated(i) != 0,
                           in.truncated(i) != 0, is_valid, in.final_values(i), advantage);
      out.advantages(i) = advantage;
      out.returns(i) = advantage + value;
      next_value = value;
    }
  }
}

}  // namespace flare
