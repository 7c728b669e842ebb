#include "rollout/gae.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/assert.hpp"
#include "rollout/gae_step.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace flare {
namespace {

// Columns of one tile: long runs of a row, so that walking back in time touches few pages a step,
// while the carried advantages (16 KiB) stay in the first cache. 4096 was faster than 1024 and 512.
constexpr std::size_t kTile = 4096;

/// One tile: columns [begin, begin + width), with A_{t+1} of each in `carry`.
struct Tile {
  std::size_t begin;
  std::size_t width;
  float* carry;
};

void scalar_row(const GaeInput& in, const GaeOutput& out, const GaeFactors& factors,
                const Tile& tile, std::size_t t, std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) {
    const std::size_t n = tile.begin + i;
    const float value = in.values(t, n);
    tile.carry[i] =
        gae_step(factors, in.rewards(t, n), value, in.values(t + 1, n), in.terminated(t, n) != 0,
                 in.truncated(t, n) != 0, in.final_values(t, n), tile.carry[i]);
    out.advantages(t, n) = tile.carry[i];
    out.returns(t, n) = tile.carry[i] + value;
  }
}

#if defined(__AVX2__)
constexpr std::size_t kLanes = 8;

/// Eight flag bytes as a mask of eight lanes.
inline __m256 widen(std::uint64_t flags) {
  const __m128i bytes = _mm_cvtsi64_si128(static_cast<long long>(flags));
  const __m256i lanes = _mm256_cvtepu8_epi32(bytes);
  return _mm256_castsi256_ps(_mm256_cmpgt_epi32(lanes, _mm256_setzero_si256()));
}

inline std::uint64_t load_flags(const std::uint8_t* at) {
  std::uint64_t flags = 0;
  std::memcpy(&flags, at, sizeof flags);
  return flags;
}

template <bool Stream>
inline void store(float* at, __m256 lanes) {
  if constexpr (Stream) {
    _mm256_stream_ps(at, lanes);
  } else {
    _mm256_storeu_ps(at, lanes);
  }
}

/// Rows of one time step, for eight columns at a time.
struct RowPointers {
  const float* reward;
  const float* value;
  const float* next_value;
  const std::uint8_t* terminated;
  const std::uint8_t* truncated;
  const float* final_value;
  float* advantage;
  float* returns;

  RowPointers(const GaeInput& in, const GaeOutput& out, std::size_t t, std::size_t begin)
      : reward(in.rewards.row(t) + begin),
        value(in.values.row(t) + begin),
        next_value(in.values.row(t + 1) + begin),
        terminated(in.terminated.row(t) + begin),
        truncated(in.truncated.row(t) + begin),
        final_value(in.final_values.row(t) + begin),
        advantage(out.advantages.row(t) + begin),
        returns(out.returns.row(t) + begin) {}
};

template <bool Stream>
void vector_row(const RowPointers& row, const GaeFactors& factors, float* carry, std::size_t from,
                std::size_t to) {
  const __m256 gamma = _mm256_set1_ps(factors.gamma);
  const __m256 decay = _mm256_set1_ps(factors.decay);
  for (std::size_t i = from; i < to; i += kLanes) {
    __m256 next_value = _mm256_loadu_ps(row.next_value + i);
    __m256 next_advantage = _mm256_load_ps(carry + i);
    const std::uint64_t terminated = load_flags(row.terminated + i);
    const std::uint64_t truncated = load_flags(row.truncated + i);
    // Ends are rare: most vectors need neither masks nor final values, whose memory is then left
    // alone.
    if ((terminated | truncated) != 0) [[unlikely]] {
      const __m256 is_terminated = widen(terminated);
      const __m256 is_truncated = widen(truncated);
      if (truncated != 0 && !factors.truncation_is_terminal) {
        next_value =
            _mm256_blendv_ps(next_value, _mm256_loadu_ps(row.final_value + i), is_truncated);
      } else {
        next_value = _mm256_andnot_ps(is_truncated, next_value);
      }
      next_value = _mm256_andnot_ps(is_terminated, next_value);
      next_advantage = _mm256_andnot_ps(_mm256_or_ps(is_terminated, is_truncated), next_advantage);
    }
    const __m256 value = _mm256_loadu_ps(row.value + i);
    const __m256 target =
        _mm256_add_ps(_mm256_loadu_ps(row.reward + i), _mm256_mul_ps(gamma, next_value));
    const __m256 delta = _mm256_sub_ps(target, value);
    const __m256 advantage = _mm256_add_ps(delta, _mm256_mul_ps(decay, next_advantage));
    _mm256_store_ps(carry + i, advantage);
    store<Stream>(row.advantage + i, advantage);
    store<Stream>(row.returns + i, _mm256_add_ps(advantage, value));
  }
}

/// Whether every vector store of the tile is aligned, which streaming needs.
bool can_stream(const GaeOutput& out, const Tile& tile) {
  constexpr std::size_t kBytes = kLanes * sizeof(float);
  const auto misalignment = [&](const float* p) {
    return reinterpret_cast<std::uintptr_t>(p + tile.begin) % kBytes;
  };
  return misalignment(out.advantages.data()) == 0 && misalignment(out.returns.data()) == 0 &&
         out.returns.shape(1) % kLanes == 0;
}

void compute_tile(const GaeInput& in, const GaeOutput& out, const GaeFactors& factors,
                  const Tile& tile, bool stream) {
  const bool is_streaming = stream && can_stream(out, tile);
  const std::size_t vectors = tile.width / kLanes * kLanes;
  for (std::size_t t = in.rewards.shape(0); t-- > 0;) {
    const RowPointers row(in, out, t, tile.begin);
    if (is_streaming) {
      vector_row<true>(row, factors, tile.carry, 0, vectors);
    } else {
      vector_row<false>(row, factors, tile.carry, 0, vectors);
    }
    if (vectors != tile.width) scalar_row(in, out, factors, tile, t, vectors, tile.width);
  }
  // Streamed stores are not ordered with later ones; a thread that waits for this one must see
  // them.
  if (is_streaming) _mm_sfence();
}
#else
void compute_tile(const GaeInput& in, const GaeOutput& out, const GaeFactors& factors,
                  const Tile& tile, bool /*stream*/) {
  for (std::size_t t = in.rewards.shape(0); t-- > 0;) {
    scalar_row(in, out, factors, tile, t, 0, tile.width);
  }
}
#endif

}  // namespace

void compute_gae(const GaeInput& in, const GaeOutput& out, const GaeSettings& settings,
                 std::size_t begin, std::size_t end, bool stream) {
  FLARE_ASSERT(in.values.shape(0) == in.rewards.shape(0) + 1);
  const GaeFactors factors(settings);
  alignas(64) std::array<float, kTile> carry;
  for (std::size_t at = begin; at < end; at += kTile) {
    const Tile tile{at, std::min(kTile, end - at), carry.data()};
    std::fill_n(tile.carry, tile.width, 0.0F);
    compute_tile(in, out, factors, tile, stream);
  }
}

}  // namespace flare
