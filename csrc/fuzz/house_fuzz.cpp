// House documents from text to the first steps of an episode: what loads is also walked in and
// drawn, and what the simulator promises of every step is asked of it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/rng.hpp"
#include "env/batch_env.hpp"
#include "fuzz/fuzz_target.hpp"
#include "fuzz/json_mutator.hpp"
#include "sim/asset_library.hpp"
#include "sim/house_loader.hpp"
#include "tests/sim/house_fixture.hpp"

namespace {

using namespace flare;

constexpr int kSide = 24;         // px, of the frames
constexpr int kMostCells = 6000;  // larger houses are loaded and drawn, not played
constexpr std::uint64_t kSteps = 24;

const sim::AssetLibrary& library() {
  static const auto read = [] {
    std::ifstream file(FLARE_LIBRARY);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return sim::AssetLibrary::from_json(text);
  }();
  return *read;
}

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "house_fuzz: %s\n", what);
  std::abort();
}

void draw_from_the_middle(const render::Scene& scene, const sim::House& house) {
  std::vector<std::uint8_t> rgb(std::size_t{kSide} * kSide * 3);
  render::ImageView image;
  image.width = kSide;
  image.height = kSide;
  image.rgb = rgb.data();
  render::Camera camera;
  camera.position = {0.5F * (house.bounds.min.x + house.bounds.max.x), 1.0F,
                     0.5F * (house.bounds.min.z + house.bounds.max.z)};
  render::Rasterizer().draw(scene, {}, camera, image);
}

/// An episode at the house's own start or the first free place.
sim::EpisodeSpec spec_of(const sim::LoadedHouse& house, std::uint64_t key) {
  sim::EpisodeSpec spec{};
  spec.seed = key;
  spec.goal = static_cast<std::int32_t>(key % sim::kNumGoals);
  spec.x = house.house.start.position.x;
  spec.z = house.house.start.position.z;
  spec.yaw_deg = house.house.start.yaw_deg;
  spec.target_rooms = 1;
  spec.num_targets = house.house.objects.empty() ? 0 : 1;
  if (spec.num_targets > 0) {
    spec.targets[0] = static_cast<std::int32_t>(key / 8 % house.house.objects.size());
  }
  const sim::Pose start = sim::start_pose(house.robot, {spec.x, spec.z}, spec.yaw_deg);
  const bool is_blocked = house.collision.blocked(sim::disc_centre(house.robot.body, start));
  if (is_blocked && house.grid.num_cells() > 0) {
    const Vec2 place = house.grid.cells()[key / 64 % house.grid.cells().size()] -
                       heading(spec.yaw_deg) * house.robot.body.centre_offset;
    spec.x = place.x;
    spec.z = place.z;
  }
  return spec;
}

void check_step(const sim::LoadedHouse& house, const sim::WorldState& state,
                const sim::Facts& facts) {
  for (const float value : {facts.position[0], facts.position[2], facts.yaw_deg, facts.travelled,
                            facts.target_distance, facts.target_bearing_deg, facts.target_geodesic,
                            facts.path_bearing_deg, facts.hand[0], facts.hand[1], facts.hand[2]}) {
    require(std::isfinite(value), "a fact is not finite");
  }
  const Vec2 disc = sim::disc_centre(house.robot.body, state.pose);
  require(!house.collision.blocked(disc, house.robot.body.radius, &state.things),
          "the robot is inside an obstacle");
}

void play(const env::PlayableHouse& playable, std::uint64_t key) {
  const sim::LoadedHouse& house = *playable.sim;
  env::BatchEnv env({playable}, {sim::testing::stretch()}, {1, 1, kSide, kSide, 2});
  std::vector<std::uint8_t> frames(std::size_t{2} * kSide * kSide * 3);
  sim::Facts facts{};
  const env::StepOutputs out = {frames.data(), &facts};
  const std::int32_t id = 0;
  const sim::EpisodeSpec spec = spec_of(house, key);
  try {
    env.reset({&id, 1}, {&spec, 1}, out);
  } catch (const StateError&) {
    return;  // no free start
  }
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    auto action = static_cast<std::int32_t>(keyed_bits(key, 0, 0, step, 0) % sim::kNumActions);
    if (step % 3 == 0) env.expert_actions({&action, 1});
    env.step({&action, 1}, {}, out);
    check_step(house, env.state(0), facts);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::uint64_t key = size;
  for (const char c : text) key = mix64(key ^ static_cast<unsigned char>(c));
  try {
    env::PlayableHouse house;
    house.sim = std::make_shared<const sim::LoadedHouse>(sim::load_house(text, "fuzz", library()),
                                                         sim::testing::stretch());
    house.scene = render::Scene::build(house.sim->house);
    draw_from_the_middle(*house.scene, house.sim->house);
    if (house.sim->grid.num_cells() <= kMostCells) play(house, key);
  } catch (const HouseFormatError&) {
    return 0;  // refused in words
  }
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned int seed) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string changed = seed % 8 == 0 ? "" : fuzz::mutate_json(text, seed / 8);
  if (changed.empty() || changed.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::copy(changed.begin(), changed.end(), data);
  return changed.size();
}
