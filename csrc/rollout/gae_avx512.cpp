#include "rollout/gae_strip.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

// On the functions, not on the file: inline functions of headers that this file shares with others
// must stay fit for every processor.
#define FLARE_AVX512 [[gnu::target("avx512f,avx512bw,avx512vl")]]

namespace flare {
namespace {

constexpr std::size_t kLanes = 16;

template <bool Stream>
FLARE_AVX512 void store(float* at, __m512 lanes) {
  if constexpr (Stream) {
    _mm512_stream_ps(at, lanes);
  } else {
    _mm512_storeu_ps(at, lanes);
  }
}

template <bool Stream>
FLARE_AVX512 void compute_row(const GaeRow& row, const GaeFactors& factors, const GaeStrip& strip) {
  const __m512 gamma = _mm512_set1_ps(factors.gamma);
  const __m512 decay = _mm512_set1_ps(factors.decay);
  for (std::size_t i = 0; i < strip.width; i += kLanes) {
    if constexpr (!Stream) {
      _mm_prefetch(row.advantage_ahead + i, _MM_HINT_T0);
      _mm_prefetch(row.returns_ahead + i, _MM_HINT_T0);
    }
    __m512 next_value = _mm512_loadu_ps(row.next_value + i);
    __m512 next_advantage = _mm512_loadu_ps(row.next_advantage + i);
    const __m128i terminated =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(row.terminated + i));
    const __m128i truncated = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row.truncated + i));
    const __m128i ended = _mm_or_si128(terminated, truncated);
    if (_mm_testz_si128(ended, ended) == 0) [[unlikely]] {
      const __mmask16 is_truncated = _mm_test_epi8_mask(truncated, truncated);
      if (is_truncated != 0 && !factors.truncation_is_terminal) {
        next_value = _mm512_mask_loadu_ps(next_value, is_truncated, row.final_value + i);
        next_value = _mm512_maskz_mov_ps(_mm_testn_epi8_mask(terminated, terminated), next_value);
      } else {
        next_value = _mm512_maskz_mov_ps(_mm_testn_epi8_mask(ended, ended), next_value);
      }
      next_advantage = _mm512_maskz_mov_ps(_mm_testn_epi8_mask(ended, ended), next_advantage);
    }
    const __m512 value = _mm512_loadu_ps(row.value + i);
    const __m512 target =
        _mm512_add_ps(_mm512_loadu_ps(row.reward + i), _mm512_mul_ps(gamma, next_value));
    const __m512 delta = _mm512_sub_ps(target, value);
    const __m512 advantage = _mm512_add_ps(delta, _mm512_mul_ps(decay, next_advantage));
    if constexpr (Stream) _mm512_store_ps(strip.carry + i, advantage);
    store<Stream>(row.advantage + i, advantage);
    store<Stream>(row.returns + i, _mm512_add_ps(advantage, value));
  }
}

template <bool Stream>
FLARE_AVX512 void compute_strip(const GaeInput& in, const GaeOutput& out, const GaeFactors& factors,
                                const GaeStrip& strip) {
  for (std::size_t t = in.rewards.shape(0); t-- > 0;) {
    compute_row<Stream>(GaeRow(in, out, strip, t), factors, strip);
  }
}

}  // namespace

void gae_strip_avx512(const GaeInput& in, const GaeOutput& out, const GaeFactors& factors,
                      const GaeStrip& strip) {
  if (!strip.stream) return compute_strip<false>(in, out, factors, strip);
  compute_strip<true>(in, out, factors, strip);
  _mm_sfence();  // streamed stores are not ordered with the later ones that announce them
}

}  // namespace flare
#endif
