#include "rollout/gae_strip.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define FLARE_AVX2 [[gnu::target("avx2")]]

namespace flare {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kLine = 16;  // floats of a cache line

FLARE_AVX2 std::uint64_t load_flags(const std::uint8_t* at) {
  std::uint64_t flags = 0;
  std::memcpy(&flags, at, sizeof flags);
  return flags;
}

/// Eight flag bytes as a mask of eight lanes.
FLARE_AVX2 __m256 widen(std::uint64_t flags) {
  const __m128i bytes = _mm_cvtsi64_si128(static_cast<long long>(flags));
  const __m256i lanes = _mm256_cvtepu8_epi32(bytes);
  return _mm256_castsi256_ps(_mm256_cmpgt_epi32(lanes, _mm256_setzero_si256()));
}

template <bool Stream>
FLARE_AVX2 void store(float* at, __m256 lanes) {
  if constexpr (Stream) {
    _mm256_stream_ps(at, lanes);
  } else {
    _mm256_storeu_ps(at, lanes);
  }
}

template <bool Stream>
FLARE_AVX2 void compute_vector(const GaeRow& row, const GaeFactors& factors, float* carry,
                               std::size_t i) {
  __m256 next_value = _mm256_loadu_ps(row.next_value + i);
  __m256 next_advantage = _mm256_loadu_ps(row.next_advantage + i);
  const std::uint64_t terminated = load_flags(row.terminated + i);
  const std::uint64_t truncated = load_flags(row.truncated + i);
  if ((terminated | truncated) != 0) [[unlikely]] {
    const __m256 is_terminated = widen(terminated);
    const __m256 is_truncated = widen(truncated);
    if (truncated != 0 && !factors.truncation_is_terminal) {
      next_value = _mm256_blendv_ps(next_value, _mm256_loadu_ps(row.final_value + i), is_truncated);
    } else {
      next_value = _mm256_andnot_ps(is_truncated, next_value);
    }
    next_value = _mm256_andnot_ps(is_terminated, next_value);
    next_advantage = _mm256_andnot_ps(_mm256_or_ps(is_terminated, is_truncated), next_advantage);
  }
  const __m256 value = _mm256_loadu_ps(row.value + i);
  const __m256 target = _mm256_add_ps(_mm256_loadu_ps(row.reward + i),
                                      _mm256_mul_ps(_mm256_set1_ps(factors.gamma), next_value));
  const __m256 delta = _mm256_sub_ps(target, value);
  const __m256 advantage =
      _mm256_add_ps(delta, _mm256_mul_ps(_mm256_set1_ps(factors.decay), next_advantage));
  if constexpr (Stream) _mm256_store_ps(carry + i, advantage);
  store<Stream>(row.advantage + i, advantage);
  store<Stream>(row.returns + i, _mm256_add_ps(advantage, value));
}

template <bool Stream>
FLARE_AVX2 void compute_strip(const GaeInput& in, const GaeOutput& out, const GaeFactors& factors,
                              const GaeStrip& strip) {
  const std::size_t lines = strip.width / kLine * kLine;
  for (std::size_t t = in.rewards.shape(0); t-- > 0;) {
    const GaeRow row(in, out, strip, t);
    for (std::size_t i = 0; i < lines; i += kLine) {
      if constexpr (!Stream) {
        _mm_prefetch(row.advantage_ahead + i, _MM_HINT_T0);
        _mm_prefetch(row.returns_ahead + i, _MM_HINT_T0);
      }
      compute_vector<Stream>(row, factors, strip.carry, i);
      compute_vector<Stream>(row, factors, strip.carry, i + kLanes);
    }
    if (lines != strip.width) compute_vector<Stream>(row, factors, strip.carry, lines);
  }
}

}  // namespace

void gae_strip_avx2(const GaeInput& in, const GaeOutput& out, const GaeFactors& factors,
                    const GaeStrip& strip) {
  if (!strip.stream) return compute_strip<false>(in, out, factors, strip);
  compute_strip<true>(in, out, factors, strip);
  _mm_sfence();  // streamed stores are not ordered with the later ones that announce them
}

}  // namespace flare
#endif
