#include "rollout/gae.hpp"

#include <algorithm>
#include <array>

#include "core/assert.hpp"
#include "rollout/gae_strip.hpp"

namespace flare {
namespace {

// Columns of one strip: long runs of a row, so that walking back in time touches few pages a step,
// while the carried advantages (16 KiB) stay in the first cache. 4096 was faster than 1024 and 512.
constexpr std::size_t kWidest = 4096;
constexpr std::size_t kLine = 16;  // floats of a cache line

using Kernel = void (*)(const GaeInput&, const GaeOutput&, const GaeFactors&, const GaeStrip&);

struct VectorKernel {
  Kernel compute;
  std::size_t lanes;
};

/// Whether streamed stores, of whole cache lines, are aligned in every row.
bool can_stream(const GaeOutput& out) {
  const auto starts_line = [](const float* p) {
    return reinterpret_cast<std::uintptr_t>(p) % (kLine * sizeof(float)) == 0;
  };
  return starts_line(out.advantages.data()) && starts_line(out.returns.data()) &&
         out.returns.shape(1) % kLine == 0;
}

/// What this processor can do, widest first; ends with the scalar kernel.
std::array<VectorKernel, 3> find_kernels() {
  constexpr VectorKernel kScalar{gae_strip_scalar, 1};
#if defined(__x86_64__)
  const bool has_avx2 = __builtin_cpu_supports("avx2");
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl");
  constexpr VectorKernel kAvx2{gae_strip_avx2, 8};
  return {has_avx512 ? VectorKernel{gae_strip_avx512, 16} : kScalar, has_avx2 ? kAvx2 : kScalar,
          kScalar};
#else
  return {kScalar, kScalar, kScalar};
#endif
}

}  // namespace

void gae_strip_scalar(const GaeInput& in, const GaeOutput& out, const GaeFactors& factors,
                      const GaeStrip& strip) {
  for (std::size_t n = strip.begin; n < strip.begin + strip.width; ++n) {
    float advantage = 0.0F;
    for (std::size_t t = in.rewards.shape(0); t-- > 0;) {
      const float value = in.values(t, n);
      const bool is_valid = in.valid.data() == nullptr || in.valid(t, n) != 0;
      advantage =
          gae_step(factors, in.rewards(t, n), value, in.values(t + 1, n), in.terminated(t, n) != 0,
                   in.truncated(t, n) != 0, is_valid, in.final_values(t, n), advantage);
      out.advantages(t, n) = advantage;
      out.returns(t, n) = advantage + value;
    }
  }
}

void compute_gae(const GaeInput& in, const GaeOutput& out, const GaeSettings& settings,
                 std::size_t begin, std::size_t end, bool stream) {
  FLARE_ASSERT(in.values.shape(0) == in.rewards.shape(0) + 1);
  const GaeFactors factors(settings);
  if (in.valid.data() != nullptr) {
    gae_strip_scalar(in, out, factors, {begin, end - begin, nullptr, false});
    return;
  }
  static const auto kKernels = find_kernels();
  stream = stream && begin % kLine == 0 && can_stream(out);
  alignas(64) std::array<float, kWidest> carry;
  while (begin < end) {
    const auto kernel = std::find_if(kKernels.begin(), kKernels.end(),
                                     [&](const auto& k) { return k.lanes <= end - begin; });
    const std::size_t width = std::min(kWidest, (end - begin) / kernel->lanes * kernel->lanes);
    std::fill_n(carry.data(), width, 0.0F);
    kernel->compute(in, out, factors, {begin, width, carry.data(), stream});
    begin += width;
  }
}

}  // namespace flare
