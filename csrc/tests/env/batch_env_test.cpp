#include "env/batch_env.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/error.hpp"
#include "core/rng.hpp"
#include "env/cameras.hpp"
#include "tests/sim/house_fixture.hpp"

using namespace flare;
using namespace flare::env;
using flare::sim::testing::add_box;
using flare::sim::testing::load_robot;
using flare::sim::testing::stretch;
using flare::sim::testing::two_rooms;

namespace {

constexpr int kWidth = 64;
constexpr int kHeight = 40;
// Of 100 random steps of seven robots: changes only when what a move does is meant to change.
constexpr std::uint64_t kGoldenMotion = 8674272921384788897ULL;

std::vector<PlayableHouse> houses() {
  std::vector<PlayableHouse> out;
  for (int i = 0; i < 2; ++i) {
    sim::House plan = two_rooms(1.2F, 2.4F);
    add_box(plan, {7.6F, 0.4F, 0.6F}, {0.4F, 0.8F, 0.4F});
    add_box(plan, {2.0F, 0.5F, 3.4F + 0.1F * static_cast<float>(i)}, {1.0F, 1.0F, 0.5F}, 30);
    auto loaded = std::make_shared<const sim::LoadedHouse>(std::move(plan), stretch());
    auto scene = render::Scene::build(loaded->house);
    out.push_back({loaded, scene});
  }
  return out;
}

sim::EpisodeSpec spec_of(int env, int episode = 0) {
  sim::EpisodeSpec spec{};
  spec.seed =
      keyed_bits(1, static_cast<std::uint64_t>(env), static_cast<std::uint64_t>(episode), 0, 0);
  spec.house = env % 2;
  spec.x = 1.0F + 0.3F * static_cast<float>(env % 4);
  spec.z = 1.5F;
  spec.yaw_deg = 30.0F * static_cast<float>(env);
  spec.num_targets = 1 + env % 2;
  spec.targets = {0, 1};
  spec.camera_noise = env % 3 == 0 ? 0 : 1;
  return spec;
}

struct Batch {
  BatchEnv env;
  std::vector<std::uint8_t> frames;
  std::vector<sim::Facts> facts;

  explicit Batch(int num_envs, int num_threads = 1, int num_cameras = 2)
      : env(houses(), {stretch()}, {num_envs, num_threads, kWidth, kHeight, num_cameras}),
        frames(static_cast<std::size_t>(num_envs * num_cameras * kWidth * kHeight * 3)),
        facts(static_cast<std::size_t>(num_envs)) {}

  StepOutputs out() { return {frames.data(), facts.data()}; }
  void reset_all() {
    std::vector<std::int32_t> ids;
    std::vector<sim::EpisodeSpec> specs;
    for (int i = 0; i < static_cast<int>(facts.size()); ++i) {
      ids.push_back(i);
      specs.push_back(spec_of(i));
    }
    env.reset(ids, specs, out());
  }
  void step_random(int step) {
    static constexpr std::array<std::int32_t, 7> kActions = {0, 0, 1, 2, 3, 6, 7};
    std::vector<std::int32_t> actions;
    for (std::size_t i = 0; i < facts.size(); ++i) {
      actions.push_back(kActions[keyed_bits(5, i, 0, static_cast<std::uint64_t>(step), 0) % 7]);
    }
    env.step(actions, {}, out());
  }
};

std::uint64_t hash_bytes(std::uint64_t hash, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001B3ULL;  // FNV-1a
  return hash;
}

struct Hashes {
  std::uint64_t all = 0xCBF29CE484222325ULL;     // frames and facts
  std::uint64_t motion = 0xCBF29CE484222325ULL;  // where the robots went, in whole millimetres
};

Hashes hash_of_play(int num_threads) {
  Batch batch(7, num_threads);
  batch.reset_all();
  Hashes hash;
  for (int step = 0; step < 100; ++step) {
    batch.step_random(step);
    hash.all = hash_bytes(hash.all, batch.frames.data(), batch.frames.size());
    hash.all = hash_bytes(hash.all, batch.facts.data(), batch.facts.size() * sizeof(sim::Facts));
    for (const sim::Facts& facts : batch.facts) {
      const std::array<std::int32_t, 4> pose = {
          static_cast<std::int32_t>(std::lround(facts.position[0] * 1000.0F)),
          static_cast<std::int32_t>(std::lround(facts.position[2] * 1000.0F)),
          static_cast<std::int32_t>(std::lround(facts.yaw_deg)), facts.collided};
      hash.motion = hash_bytes(hash.motion, pose.data(), sizeof pose);
    }
  }
  return hash;
}

}  // namespace

TEST_CASE("batch env: frames and facts are the same bits for any number of threads") {
  const Hashes one = hash_of_play(1);
  CHECK(hash_of_play(2).all == one.all);
  CHECK(hash_of_play(5).all == one.all);
  CHECK(one.motion == kGoldenMotion);
}

TEST_CASE("batch env: reset writes only the rows of its envs") {
  Batch batch(3);
  batch.reset_all();
  const auto frames = batch.frames;
  batch.step_random(0);
  batch.facts[0].step = batch.facts[2].step = 77;
  const std::vector<std::int32_t> ids = {1};
  const std::vector<sim::EpisodeSpec> specs = {spec_of(1)};
  batch.env.reset(ids, specs, batch.out());
  CHECK(batch.facts[0].step == 77);
  CHECK(batch.facts[1].step == 0);
  CHECK(batch.facts[2].step == 77);
  const std::size_t row = frames.size() / 3;
  CHECK(std::memcmp(batch.frames.data() + row, frames.data() + row, row) == 0);
}

TEST_CASE("batch env: a bad spec among good ones changes no env") {
  Batch batch(2);
  batch.reset_all();
  batch.step_random(0);
  const sim::WorldState before = batch.env.state(0);
  const std::vector<std::int32_t> ids = {0, 1};
  std::vector<sim::EpisodeSpec> specs = {spec_of(0), spec_of(1)};
  specs[1].house = 2;
  CHECK_THROWS_AS(batch.env.reset(ids, specs, batch.out()), StateError);
  specs[1] = spec_of(1);
  specs[1].x = 0.0F;
  CHECK_THROWS_AS(batch.env.reset(ids, specs, batch.out()), StateError);
  const sim::WorldState after = batch.env.state(0);
  CHECK(std::memcmp(&before, &after, sizeof before) == 0);
}

TEST_CASE("batch env: calls out of order and bad ids are refused") {
  Batch batch(2);
  const std::vector<std::int32_t> actions = {0, 0};
  CHECK_THROWS_AS(batch.env.step(actions, {}, batch.out()), StateError);
  CHECK_THROWS_AS((void)batch.env.state(0), StateError);
  batch.reset_all();
  const std::vector<sim::EpisodeSpec> specs = {spec_of(0), spec_of(1)};
  const std::vector<std::int32_t> twice = {1, 1};
  const std::vector<std::int32_t> beyond = {0, 20};
  CHECK_THROWS_AS(batch.env.reset(twice, specs, batch.out()), StateError);
  CHECK_THROWS_AS(batch.env.reset(beyond, specs, batch.out()), StateError);
  CHECK_THROWS_AS(batch.env.step(beyond, {}, batch.out()), StateError);
  CHECK(batch.env.state(0).step == 0);
  CHECK_THROWS_AS(BatchEnv({}, {stretch()}, {}), StateError);
  CHECK_THROWS_AS(BatchEnv(houses(), {}, {}), StateError);
  CHECK_THROWS_AS(BatchEnv(houses(), {stretch(), load_robot("locobot")}, {1, 1, 8, 8, 2}),
                  StateError);
  CHECK_THROWS_AS(BatchEnv(houses(), {stretch()}, {0, 1, 8, 8, 1}), StateError);
  CHECK_THROWS_AS(BatchEnv(houses(), {stretch()}, {1, 1, 8, 8, 3}), StateError);
}

TEST_CASE("batch env: restored worlds go on as if they had not stopped") {
  Batch batch(4);
  batch.reset_all();
  for (int step = 0; step < 20; ++step) batch.step_random(step);
  Batch other(4);
  std::vector<std::int32_t> ids;
  std::vector<sim::WorldState> states;
  for (int i = 0; i < 4; ++i) {
    ids.push_back(i);
    states.push_back(batch.env.state(i));
  }
  other.env.restore(ids, states, other.out());
  CHECK(other.frames == batch.frames);
  for (int step = 20; step < 40; ++step) {
    batch.step_random(step);
    other.step_random(step);
    CHECK(other.frames == batch.frames);
    CHECK(std::memcmp(other.facts.data(), batch.facts.data(), 4 * sizeof(sim::Facts)) == 0);
  }
  states[2].pose.position = {100, 100};
  CHECK_THROWS_AS(other.env.restore(ids, states, other.out()), StateError);
}

TEST_CASE("batch env: drawing again gives the frame of the step, and leaves the worlds alone") {
  Batch batch(2);
  batch.reset_all();
  batch.step_random(0);
  const std::vector<std::int32_t> ids = {1, 0};
  const std::size_t image = static_cast<std::size_t>(kWidth * kHeight * 3);
  std::vector<std::uint8_t> rgb(2 * image);
  batch.env.render(ids, kManipulationCamera, kWidth, kHeight, rgb.data(), nullptr, nullptr);
  CHECK(std::memcmp(rgb.data(), batch.frames.data() + 3 * image, image) == 0);  // env 1, camera 1
  CHECK(std::memcmp(rgb.data() + image, batch.frames.data() + image, image) == 0);
  std::vector<std::int32_t> before(2);
  batch.env.expert_actions(before);
  std::vector<std::int32_t> after(2);
  batch.env.render(ids, kNavigationCamera, 9, 7, nullptr, nullptr, nullptr);
  batch.env.expert_actions(after);
  CHECK(before == after);
}

TEST_CASE("cameras: mounted where the robot carries them") {
  sim::WorldState state;
  state.pose = sim::start_pose(*stretch(), {1, 2}, 90);  // looks along +x, its right is -z
  state.cameras = sim::draw_cameras(*stretch(), sim::EpisodeSpec{});
  const render::Camera navigation = mounted_camera(*stretch(), state, kNavigationCamera);
  CHECK(navigation.position.x == doctest::Approx(1 + 0.0678804));
  CHECK(navigation.position.y == doctest::Approx(0.9009982 + 0.5447009));
  CHECK(navigation.position.z == doctest::Approx(2 - 0.00192035));
  CHECK(navigation.yaw_deg == 90.0F);
  CHECK(navigation.pitch_deg == 27.0F);
  const render::Camera manipulation = mounted_camera(*stretch(), state, kManipulationCamera);
  CHECK(manipulation.position.x == doctest::Approx(1 - 0.05884857));
  CHECK(manipulation.position.z == doctest::Approx(2 - 0.05390513));
  CHECK(manipulation.yaw_deg == 180.0F);
  CHECK(manipulation.pitch_deg == 33.0F);
}
