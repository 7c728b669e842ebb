// Spreads the recursion of gae.hpp over threads.
#pragma once

#include "rollout/gae.hpp"

namespace flare {

/// All columns. Safe from several threads at once (they take turns where they use more than one).
/// @param num_threads  0: as many as the size is worth, at most the machine's
void compute_gae_parallel(const GaeInput& in, const GaeOutput& out, const GaeSettings& settings,
                          int num_threads);

/// All segments.
void compute_gae_segments_parallel(const GaeSegmentsInput& in, const GaeSegmentsOutput& out,
                                   const GaeSettings& settings, int num_threads);

}  // namespace flare
