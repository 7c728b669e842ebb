// Eight lanes at a time through the compiler's vector types: elementwise IEEE arithmetic, so the
// result does not depend on the width of the machine's registers.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX__
#include <immintrin.h>
#endif

namespace flare::render {

inline constexpr int kLanes = 8;

using F32x8 = float __attribute__((vector_size(32)));
using I32x8 = std::int32_t __attribute__((vector_size(32)));
using U32x8 = std::uint32_t __attribute__((vector_size(32)));
using U8x32 = std::uint8_t __attribute__((vector_size(32)));

inline constexpr I32x8 kLaneIndex = {0, 1, 2, 3, 4, 5, 6, 7};

inline F32x8 splat(float value) { return F32x8{} + value; }
inline I32x8 splat(std::int32_t value) { return I32x8{} + value; }
inline F32x8 to_float(I32x8 v) { return __builtin_convertvector(v, F32x8); }
inline I32x8 to_int(F32x8 v) { return __builtin_convertvector(v, I32x8); }  // towards zero

template <typename Vector, typename Element>
inline Vector load(const Element* source) {
  Vector v;
  std::memcpy(&v, source, sizeof(v));
  return v;
}

template <typename Vector, typename Element>
inline void store(Element* target, Vector v) {
  std::memcpy(target, &v, sizeof(v));
}

inline F32x8 min(F32x8 a, F32x8 b) { return a < b ? a : b; }
inline F32x8 max(F32x8 a, F32x8 b) { return a > b ? a : b; }

/// Largest integer not above each lane, |v| < 2^31.
inline I32x8 floor_to_int(F32x8 v) {
  const I32x8 t = to_int(v);
  return t + (to_float(t) > v);  // a true lane is -1
}

/// One bit for each true lane of a mask.
inline unsigned lane_bits(I32x8 mask) {
#ifdef __AVX__
  return static_cast<unsigned>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask)));
#else
  unsigned bits = 0;
  for (int lane = 0; lane < kLanes; ++lane) bits |= mask[lane] != 0 ? 1U << lane : 0U;
  return bits;
#endif
}

inline constexpr unsigned kAllLanes = (1U << kLanes) - 1U;

}  // namespace flare::render
