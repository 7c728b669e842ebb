// All steps of a strip of columns, for one instruction set each: what compute_gae is made of. Every
// kernel does the operations of gae_step in its order, so that all give the same bits.
//
// What bounds them is the second cache, so each byte crosses once: V(t + 1) and A(t + 1) are read
// from the rows that the step before has just used, and the lines that will be written are fetched
// two rows ahead (0.74 of memcpy without, 0.93 with; [128, 256], Xeon with AVX-512). Ends are rare:
// most vectors need neither masks nor final values, whose memory is then left alone.
#pragma once

#include <cstddef>

#include "rollout/gae.hpp"
#include "rollout/gae_step.hpp"

namespace flare {

/// Columns [begin, begin + width).
struct GaeStrip {
  std::size_t begin;
  std::size_t width;
  float* carry;  // [width], zeros, on a cache line: A(T) and, if streaming, every later A(t + 1)
  bool stream;   // write around the caches; the outputs' rows start on cache lines
};

/// The rows of one step, from the strip's first column.
struct GaeRow {
  static constexpr std::size_t kAhead = 2;  // rows; 1 and 2 were alike, 4 was slower

  const float* reward;
  const float* value;
  const float* next_value;
  const std::uint8_t* terminated;
  const std::uint8_t* truncated;
  const float* final_value;
  const float* next_advantage;
  float* advantage;
  float* returns;
  const float* advantage_ahead;
  const float* returns_ahead;

  GaeRow(const GaeInput& in, const GaeOutput& out, const GaeStrip& strip, std::size_t t)
      : reward(in.rewards.row(t) + strip.begin),
        value(in.values.row(t) + strip.begin),
        next_value(in.values.row(t + 1) + strip.begin),
        terminated(in.terminated.row(t) + strip.begin),
        truncated(in.truncated.row(t) + strip.begin),
        final_value(in.final_values.row(t) + strip.begin),
        next_advantage(strip.stream || t + 1 == in.rewards.shape(0)
                           ? strip.carry
                           : out.advantages.row(t + 1) + strip.begin),
        advantage(out.advantages.row(t) + strip.begin),
        returns(out.returns.row(t) + strip.begin),
        advantage_ahead(out.advantages.row(t < kAhead ? 0 : t - kAhead) + strip.begin),
        returns_ahead(out.returns.row(t < kAhead ? 0 : t - kAhead) + strip.begin) {}
};

/// Any number of columns; the only kernel that knows steps that are not valid. Does not stream.
void gae_strip_scalar(const GaeInput& in, const GaeOutput& out, const GaeFactors& factors,
                      const GaeStrip& strip);

#if defined(__x86_64__)
/// @pre width is a multiple of 8, the processor has AVX2
void gae_strip_avx2(const GaeInput& in, const GaeOutput& out, const GaeFactors& factors,
                    const GaeStrip& strip);

/// @pre width is a multiple of 16, the processor has AVX-512 F, BW and VL
void gae_strip_avx512(const GaeInput& in, const GaeOutput& out, const GaeFactors& factors,
                      const GaeStrip& strip);
#endif

}  // namespace flare
