// Generalised advantage estimation (Schulman et al. 2016, "High-dimensional continuous control
// using generalized advantage estimation", eq. 16), with the two ends of an episode kept apart:
//
//   next_t  = 0                 if step t terminated
//           = final_values[t]   if step t was truncated (and did not terminate)
//           = values[t + 1]     otherwise
//   delta_t = rewards[t] + gamma next_t - values[t]
//   A_t     = delta_t + gamma lambda A_{t+1}, without the second term if step t ended an episode
//   R_t     = A_t + values[t]
//
// A step that is not valid (its world failed, so nobody knows what the action did) has A_t = 0: the
// step before it still bootstraps with values[t] and looks no further.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/view.hpp"

namespace flare {

struct GaeSettings {
  float gamma = 0.99F;
  float gae_lambda = 0.95F;
  /// The treatment of the original FLaRe (AllenAct): a time limit counts as a terminal step.
  bool truncation_is_terminal = false;
};

/// Axes [T, N], time first; terminated and truncated are 0 or not 0.
struct GaeInput {
  View2<const float> rewards;            // [T, N]
  View2<const float> values;             // [T + 1, N]; row T follows the last step
  View2<const std::uint8_t> terminated;  // [T, N]
  View2<const std::uint8_t> truncated;   // [T, N]
  View2<const float> final_values;       // [T, N]; used only where truncated, anything elsewhere
  View2<const std::uint8_t> valid{};     // [T, N], or empty: every step is
};

struct GaeOutput {
  View2<float> advantages;  // [T, N]
  View2<float> returns;     // [T, N]
};

/// Computes columns [begin, end). O(T (end - begin)), allocates nothing; safe from several threads
/// on disjoint columns; a column's bits do not depend on begin and end.
/// @param stream  writes around the caches: faster once the arrays are larger than these
/// @pre shapes agree (the binding checks); no output overlaps an input
void compute_gae(const GaeInput& in, const GaeOutput& out, const GaeSettings& settings,
                 std::size_t begin, std::size_t end, bool stream);

/// Segments of different lengths, one after another: segment s is [offsets[s], offsets[s + 1]).
struct GaeSegmentsInput {
  View1<const float> rewards;            // [M]
  View1<const float> values;             // [M]
  View1<const std::uint8_t> terminated;  // [M]
  View1<const std::uint8_t> truncated;   // [M]
  View1<const float> final_values;       // [M]; used only where truncated
  View1<const std::int64_t> offsets;     // [S + 1], ascending, from 0 to M
  View1<const float> bootstrap_values;   // [S]; follows the last step of a segment that goes on
  View1<const std::uint8_t> valid{};     // [M], or empty: every step is
};

struct GaeSegmentsOutput {
  View1<float> advantages;  // [M]
  View1<float> returns;     // [M]
};

/// Computes segments [begin, end), as compute_gae does columns; the same bits as compute_gae for
/// the same steps.
void compute_gae_segments(const GaeSegmentsInput& in, const GaeSegmentsOutput& out,
                          const GaeSettings& settings, std::size_t begin, std::size_t end);

}  // namespace flare
