#include "rollout/gae.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/rng.hpp"
#include "rollout/gae_parallel.hpp"
#include "rollout/gae_strip.hpp"

using flare::GaeInput;
using flare::GaeOutput;
using flare::GaeSettings;

namespace {

/// Owns the arrays of one call; final_values is NaN where it must not be read.
struct Rollout {
  std::size_t steps, envs;
  std::vector<float> rewards, values, final_values, advantages, returns;
  std::vector<std::uint8_t> terminated, truncated;

  Rollout(std::size_t num_steps, std::size_t num_envs)
      : steps(num_steps),
        envs(num_envs),
        rewards(steps * envs),
        values((steps + 1) * envs),
        final_values(steps * envs, std::numeric_limits<float>::quiet_NaN()),
        advantages(steps * envs),
        returns(steps * envs),
        terminated(steps * envs),
        truncated(steps * envs) {}

  [[nodiscard]] GaeInput input() const {
    return {{rewards.data(), {steps, envs}},
            {values.data(), {steps + 1, envs}},
            {terminated.data(), {steps, envs}},
            {truncated.data(), {steps, envs}},
            {final_values.data(), {steps, envs}}};
  }
  GaeOutput output() {
    return {{advantages.data(), {steps, envs}}, {returns.data(), {steps, envs}}};
  }

  static Rollout random(std::size_t steps, std::size_t envs) {
    Rollout r(steps, envs);
    for (std::size_t i = 0; i < r.values.size(); ++i) {
      r.values[i] = flare::keyed_uniform(1, i, 0, 0, 0);
    }
    for (std::size_t i = 0; i < r.rewards.size(); ++i) {
      r.rewards[i] = flare::keyed_uniform(1, i, 1, 0, 0);
      r.terminated[i] = flare::keyed_uniform(1, i, 2, 0, 0) < 0.1F ? 1 : 0;
      r.truncated[i] = flare::keyed_uniform(1, i, 3, 0, 0) < 0.1F ? 255 : 0;
      if (r.truncated[i] != 0) r.final_values[i] = flare::keyed_uniform(1, i, 4, 0, 0);
    }
    return r;
  }
};

}  // namespace

TEST_CASE("gae: a truncated step bootstraps the final value, a terminated one nothing") {
  // gamma 0.5, lambda 0.5. Env 0 terminates at step 0, env 1 is truncated there with value 8.
  Rollout r(2, 2);
  r.rewards = {1, 1, 1, 1};
  r.values = {2, 2, 4, 4, 6, 6};
  r.terminated = {1, 0, 0, 0};
  r.truncated = {0, 1, 0, 0};
  r.final_values[1] = 8;
  compute_gae_parallel(r.input(), r.output(), {0.5F, 0.5F, false}, 1);
  // A_1 = 1 + 0.5*6 - 4 = 0 for both; A_0 = 1 - 2 = -1 and 1 + 0.5*8 - 2 = 3.
  CHECK(r.advantages == std::vector<float>{-1, 3, 0, 0});
  CHECK(r.returns == std::vector<float>{1, 5, 4, 4});
  compute_gae_parallel(r.input(), r.output(), {0.5F, 0.5F, true}, 1);
  CHECK(r.advantages == std::vector<float>{-1, -1, 0, 0});
}

TEST_CASE("gae: no steps or no environments are no work") {
  Rollout none(0, 3);
  compute_gae_parallel(none.input(), none.output(), {}, 0);
  Rollout nobody(3, 0);
  compute_gae_parallel(nobody.input(), nobody.output(), {}, 2);
}

TEST_CASE("gae: the same bits for any threads, tiles, and streaming, and one by one") {
  Rollout r = Rollout::random(9, 5003);  // more columns than a tile, and a rest
  compute_gae_parallel(r.input(), r.output(), {}, 1);
  const std::vector<float> expected = r.advantages;
  for (const float advantage : expected) REQUIRE(std::isfinite(advantage));
  for (const int threads : {2, 3, 7}) {
    r.advantages.assign(expected.size(), 0.0F);
    compute_gae_parallel(r.input(), r.output(), {}, threads);
    CHECK(r.advantages == expected);
  }
  r.advantages.assign(expected.size(), 0.0F);
  for (std::size_t n = 0; n < r.envs; ++n) {
    compute_gae(r.input(), r.output(), {}, n, n + 1, true);
  }
  CHECK(r.advantages == expected);
}

TEST_CASE("gae: columns outside of the range are left alone") {
  Rollout r = Rollout::random(5, 40);
  r.advantages.assign(r.advantages.size(), 99.0F);
  compute_gae(r.input(), r.output(), {}, 3, 20, false);
  for (std::size_t i = 0; i < r.advantages.size(); ++i) {
    const bool is_inside = i % 40 >= 3 && i % 40 < 20;
    CHECK((r.advantages[i] == 99.0F) == !is_inside);
  }
}

TEST_CASE("gae: segments equal the columns they were cut from") {
  Rollout r = Rollout::random(50, 3);
  compute_gae_parallel(r.input(), r.output(), {}, 1);
  // Env n gives its first lengths[n] steps.
  const std::vector<std::size_t> lengths{50, 0, 21};
  Rollout packed(1, 71);
  std::vector<std::int64_t> offsets{0};
  std::vector<float> bootstrap;
  std::size_t at = 0;
  for (std::size_t n = 0; n < 3; ++n) {
    for (std::size_t t = 0; t < lengths[n]; ++t, ++at) {
      packed.rewards[at] = r.rewards[t * 3 + n];
      packed.values[at] = r.values[t * 3 + n];
      packed.terminated[at] = r.terminated[t * 3 + n];
      packed.truncated[at] = r.truncated[t * 3 + n];
      packed.final_values[at] = r.final_values[t * 3 + n];
    }
    offsets.push_back(static_cast<std::int64_t>(at));
    bootstrap.push_back(r.values[lengths[n] * 3 + n]);
  }
  for (const int threads : {1, 2, 5}) {
    flare::compute_gae_segments_parallel(
        {{packed.rewards.data(), {71}},
         {packed.values.data(), {71}},
         {packed.terminated.data(), {71}},
         {packed.truncated.data(), {71}},
         {packed.final_values.data(), {71}},
         {offsets.data(), {4}},
         {bootstrap.data(), {3}}},
        {{packed.advantages.data(), {71}}, {packed.returns.data(), {71}}}, {}, threads);
    for (std::size_t t = 0; t < 50; ++t) CHECK(packed.advantages[t] == r.advantages[t * 3]);
  }
  // Where a segment stops early, the recursion starts from its bootstrap value.
  const float last = r.rewards[20 * 3 + 2] + 0.99F * bootstrap[2] - r.values[20 * 3 + 2];
  if (packed.terminated[70] == 0 && packed.truncated[70] == 0) CHECK(packed.advantages[70] == last);
}

TEST_CASE("gae: a step that is not valid has no advantage and cuts the recursion") {
  // gamma 0.5, lambda 0.5; the world failed in step 1, whose numbers mean nothing.
  Rollout r(3, 1);
  r.rewards = {1, std::numeric_limits<float>::quiet_NaN(), 1};
  r.values = {2, 4, 6, 8};
  const std::vector<std::uint8_t> valid{1, 0, 1};
  GaeInput in = r.input();
  in.valid = {valid.data(), {3, 1}};
  compute_gae_parallel(in, r.output(), {0.5F, 0.5F, false}, 1);
  // A_2 = 1 + 0.5*8 - 6 = -1; A_0 = 1 + 0.5*4 - 2 = 1, with nothing of A_2.
  CHECK(r.advantages == std::vector<float>{1, 0, -1});
  CHECK(r.returns == std::vector<float>{3, 4, 5});
}

#if defined(__x86_64__)
TEST_CASE("gae: every kernel gives the bits of the scalar one, streaming or not") {
  constexpr std::size_t kEnvs = 48;
  Rollout r = Rollout::random(30, kEnvs);
  alignas(64) std::array<float, 30 * kEnvs> advantages{};
  alignas(64) std::array<float, 30 * kEnvs> returns{};
  alignas(64) std::array<float, kEnvs> carry{};
  const GaeOutput aligned{{advantages.data(), {30, kEnvs}}, {returns.data(), {30, kEnvs}}};
  for (const bool is_terminal : {false, true}) {
    const flare::GaeFactors factors({0.99F, 0.95F, is_terminal});
    gae_strip_scalar(r.input(), r.output(), factors, {0, kEnvs, nullptr, false});
    const auto check = [&](auto kernel, bool stream) {
      advantages.fill(0.0F);
      returns.fill(0.0F);
      carry.fill(0.0F);
      kernel(r.input(), aligned, factors, {0, kEnvs, carry.data(), stream});
      CHECK(std::equal(r.advantages.begin(), r.advantages.end(), advantages.begin()));
      CHECK(std::equal(r.returns.begin(), r.returns.end(), returns.begin()));
    };
    for (const bool stream : {false, true}) {
      if (__builtin_cpu_supports("avx2")) check(flare::gae_strip_avx2, stream);
      if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        check(flare::gae_strip_avx512, stream);
      }
    }
  }
}
#endif
