#include "sim/world.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/error.hpp"
#include "sim/field_cache.hpp"
#include "tests/sim/house_fixture.hpp"

using namespace flare::sim;
using namespace flare::sim::testing;

namespace {

EpisodeSpec spec_at(float x, float z, float yaw_deg, std::vector<std::int32_t> targets = {}) {
  EpisodeSpec spec{};
  spec.seed = 7;
  spec.x = x;
  spec.z = z;
  spec.yaw_deg = yaw_deg;
  spec.num_targets = static_cast<std::int32_t>(targets.size());
  std::copy(targets.begin(), targets.end(), spec.targets.begin());
  return spec;
}

struct Play {
  std::shared_ptr<const LoadedHouse> house;
  FieldCache cache{1U << 20U};
  World world;

  Play(House plan, const EpisodeSpec& spec)
      : house(std::make_shared<LoadedHouse>(std::move(plan), stretch())) {
    world.reset(house, spec, &cache);
  }
  Facts facts(std::vector<std::int32_t> pixels = {}) const {
    pixels.resize(world.targets().size());
    Facts out{};
    world.write_facts({pixels, pixels}, out);
    return out;
  }
};

/// What an ideal camera without height would say: a target is in the image when it is in front,
/// inside the horizontal angle, and no wall cuts the line to it.
std::vector<std::int32_t> ideal_pixels(const World& world) {
  std::vector<std::int32_t> pixels;
  for (const std::int32_t target : world.targets()) {
    const Object& object = world.house().house.objects[static_cast<std::size_t>(target)];
    const flare::Vec2 centre = {object.center.x, object.center.z};
    const float error = flare::wrap_degrees(flare::bearing_deg(world.pose().position, centre) -
                                            world.pose().yaw_deg);
    const Segment ray = {world.pose().position, centre};
    bool is_cut = std::abs(error) > 44.0F;
    for (const Segment& wall : world.house().collision.walls())
      is_cut = is_cut || crosses(ray, wall);
    pixels.push_back(is_cut ? 0 : 9);
  }
  return pixels;
}

}  // namespace

TEST_CASE("world: walks 0.2 m a step until the wall blocks, then stays") {
  Play play(square_room(), spec_at(2, 2, 0));
  // The disc is 0.1092 m behind the reference point and 0.1855 m wide, so the reference point may
  // come to z = 4 - 0.1854628 + 0.1092373 = 3.9237745: nine steps to 3.8, the tenth would be 4.0.
  for (int i = 0; i < 9; ++i) {
    play.world.step(Action::kMoveAhead);
    CHECK(play.world.state().collided == 0);
  }
  play.world.step(Action::kMoveAhead);
  const Facts facts = play.facts();
  CHECK(facts.position[2] == doctest::Approx(3.8));
  CHECK(facts.position[1] == doctest::Approx(0.9009982));
  CHECK(facts.collided == 1);
  CHECK(facts.last_action_success == 0);
  CHECK(facts.travelled == doctest::Approx(1.8));
  CHECK(facts.step == 10);
  // Backwards the disc leads: z >= 0.1854628 + 0.1092373 = 0.2947, 17 steps to 0.4.
  for (int i = 0; i < 20; ++i) play.world.step(Action::kMoveBack);
  CHECK(play.world.state().pose.position.z == doctest::Approx(0.4));
}

TEST_CASE("world: turning is by 30 and 6 degrees and wraps") {
  Play play(square_room(), spec_at(2, 2, 0));
  play.world.step(Action::kRotateLeft);
  CHECK(play.world.state().pose.yaw_deg == 330.0F);
  play.world.step(Action::kRotateRight);
  CHECK(play.world.state().pose.yaw_deg == 0.0F);
  play.world.step(Action::kRotateRightSmall);
  play.world.step(Action::kRotateRight);
  CHECK(play.world.state().pose.yaw_deg == 36.0F);
  play.world.step(Action::kRotateLeftSmall);
  CHECK(play.world.state().pose.yaw_deg == 30.0F);
}

TEST_CASE("world: a turn swings the body and can be blocked") {
  // Along the wall x = 0 looking ahead, the disc has 1 mm of room; to turn right swings the disc,
  // which is behind the reference point, to the left: into the wall.
  Play play(square_room(), spec_at(stretch()->body.radius + 0.001F, 2, 0));
  play.world.step(Action::kRotateRight);
  CHECK(play.world.state().collided == 1);
  CHECK(play.world.state().pose.yaw_deg == 0.0F);
  play.world.step(Action::kRotateLeft);
  CHECK(play.world.state().collided == 0);
  CHECK(play.world.state().pose.yaw_deg == 330.0F);
}

TEST_CASE("world: done moves nothing, bad actions are refused") {
  Play play(square_room(), spec_at(2, 2, 0));
  play.world.step(Action::kDone);
  CHECK(play.world.state().last_action_success == 1);
  CHECK(play.facts().last_action_success == 0);  // no target is seen
  play.world.step(Action::kSubDone);
  CHECK(play.world.state().step == 2);
  CHECK_THROWS_AS(play.world.step(static_cast<Action>(20)), flare::StateError);
  CHECK_THROWS_AS(play.world.step(static_cast<Action>(-1)), flare::StateError);
  CHECK(play.world.state().step == 2);
}

TEST_CASE("world: a bad start or target is refused and changes nothing") {
  Play play(square_room(), spec_at(2, 2, 0));
  const auto reset = [&](const EpisodeSpec& spec) { play.world.reset(play.house, spec, nullptr); };
  CHECK_THROWS_AS(reset(spec_at(0.1F, 2, 0)), flare::StateError);
  CHECK_THROWS_AS(reset(spec_at(NAN, 2, 0)), flare::StateError);
  CHECK_THROWS_AS(reset(spec_at(2, 2, 0, {0})), flare::StateError);
  EpisodeSpec many = spec_at(2, 2, 0);
  many.num_targets = kMaxTargets + 1;
  CHECK_THROWS_AS(reset(many), flare::StateError);
  CHECK(play.world.state().pose.position.x == 2.0F);
}

TEST_CASE("world: facts of two targets, by hand") {
  House plan = two_rooms(1.5F, 2.5F);
  add_box(plan, {2, 0.4F, 3.5F}, {0.4F, 0.8F, 0.4F});
  add_box(plan, {7.5F, 0.4F, 2}, {0.4F, 0.8F, 0.4F});
  Play play(plan, spec_at(2, 2, 90, {1, 0}));
  const Facts facts = play.facts({5, 0});
  CHECK(facts.num_targets == 2);
  CHECK(facts.distance[0] == doctest::Approx(5.3));  // to the face x = 7.3
  CHECK(facts.distance[1] == doctest::Approx(1.3));  // to the face z = 3.3
  CHECK(facts.distance[2] == -1.0F);
  CHECK(facts.target_distance == doctest::Approx(1.3));
  CHECK(facts.target_bearing_deg == doctest::Approx(-90.0));
  CHECK(facts.target_in_view == 1);
  CHECK(facts.target_visible == 0);  // seen, but 5.3 m away
  CHECK(facts.visible[0] == 0);
  CHECK(facts.target_geodesic == 0.0F);
  CHECK(facts.room == 0);
  CHECK(facts.rooms_seen == 1);
  CHECK(facts.held_object == -1);
  CHECK(play.facts({0, 1}).target_visible == 1);
  CHECK(play.facts({0, 1}).visible[1] == 1);
}

TEST_CASE("world: rooms entered are remembered") {
  Play play(two_rooms(1.5F, 2.5F), spec_at(3.5F, 2, 90));
  for (int i = 0; i < 5; ++i) play.world.step(Action::kMoveAhead);
  CHECK(play.facts().room == 1);
  CHECK(play.facts().rooms_seen == 3);
  CHECK(play.facts().num_rooms == 2);
}

TEST_CASE("world: a room is reported once, the goal is to have reported all") {
  EpisodeSpec spec = spec_at(3.5F, 2, 90);
  spec.goal = static_cast<std::int32_t>(Goal::kVisitRooms);
  spec.max_steps = 9;
  Play play(two_rooms(1.5F, 2.5F), spec);
  CHECK(play.facts().rooms_left == 1);
  CHECK(play.facts().time_left == 9);
  const float to_door = play.facts().target_geodesic;  // to the other room, clear of its edge
  CHECK(to_door > 0.5F);
  CHECK(to_door < 1.2F);
  CHECK(std::abs(play.facts().path_bearing_deg) < 10.0F);
  play.world.step(Action::kSubDone);
  CHECK(play.facts().sub_done_success == 1);
  CHECK(play.facts().last_action_success == 1);
  CHECK(play.facts().rooms_reported == 1);
  play.world.step(Action::kSubDone);
  CHECK(play.facts().sub_done_success == 0);
  CHECK(play.facts().last_action_success == 0);
  for (int i = 0; i < 4; ++i) play.world.step(Action::kMoveAhead);
  CHECK(play.facts().rooms_left == 0);
  CHECK(play.facts().target_geodesic == -1.0F);  // no room is left to walk to
  play.world.step(Action::kDone);
  CHECK(play.facts().last_action_success == 0);
  play.world.step(Action::kSubDone);
  CHECK(play.facts().rooms_reported == 3);
  play.world.step(Action::kDone);
  CHECK(play.facts().last_action_success == 1);
  CHECK(play.facts().time_left == 0);
}

TEST_CASE("world: the way into a target room, by hand") {
  EpisodeSpec spec = spec_at(2, 2, 90);
  spec.goal = static_cast<std::int32_t>(Goal::kEnterRoom);
  spec.target_rooms = 2;
  Play play(two_rooms(1.5F, 2.5F), spec);
  const Facts start = play.facts();
  CHECK(start.in_target_room == 0);
  CHECK(start.room_distance == doctest::Approx(4.0));  // to (6, 2)
  // The disc at (1.89, 2) walks to x = 4.2 in the next room; places are 0.1 m apart.
  CHECK(start.target_geodesic == doctest::Approx(2.3).epsilon(0.05));
  for (int i = 0; i < 12; ++i) play.world.step(Action::kMoveAhead);
  CHECK(play.facts().in_target_room == 1);
  CHECK(play.facts().target_geodesic == 0.0F);
  play.world.step(Action::kDone);
  CHECK(play.facts().last_action_success == 1);
  spec.target_rooms = 4;
  CHECK_THROWS_AS(World::check(*play.house, spec), flare::StateError);
  spec.target_rooms = 1;
  spec.goal = kNumGoals;
  CHECK_THROWS_AS(World::check(*play.house, spec), flare::StateError);
}

TEST_CASE("world: camera noise is drawn from the grids of the original") {
  EpisodeSpec spec = spec_at(2, 2, 0);
  CHECK(draw_cameras(*stretch(), spec)[0].pitch_deg == 27.0F);
  CHECK(draw_material_seed(spec) == 0);
  spec.camera_noise = 1;
  spec.randomise = kRandomMaterials;
  CHECK(draw_light_seed(spec) == 0);
  int randomised = 0;
  for (spec.seed = 0; spec.seed < 1000; ++spec.seed) {
    const Cameras cameras = draw_cameras(*stretch(), spec);
    const float pitch = (cameras[0].pitch_deg - 25.0F) / 0.2F;
    const float fov = (cameras[1].fov_deg - 58.0F) / 0.1F;
    CHECK(std::abs(pitch - std::round(pitch)) < 1e-3F);
    CHECK(std::abs(fov - std::round(fov)) < 1e-3F);
    CHECK(pitch > -0.01F);
    CHECK(pitch < 19.01F);
    CHECK(cameras[1].pitch_deg >= 31.0F);
    CHECK(cameras[1].pitch_deg <= 34.81F);
    randomised += draw_material_seed(spec) != 0 ? 1 : 0;
  }
  CHECK(randomised > 750);  // 800 expected, standard deviation 12.6
  CHECK(randomised < 850);
}

TEST_CASE("world: a restored world goes on as if it had not stopped") {
  House plan = two_rooms(1.5F, 2.5F);
  add_box(plan, {7.5F, 0.4F, 2}, {0.4F, 0.8F, 0.4F});
  Play play(plan, spec_at(2, 3, 200, {0}));
  const std::vector<std::int32_t> none = {0};
  const TargetPixels unseen = {none, none};
  for (int i = 0; i < 6; ++i) play.world.step(play.world.expert_action(unseen));
  const WorldState saved = play.world.state();
  World other;
  other.restore(play.house, saved, &play.cache);
  for (int i = 0; i < 10; ++i) {
    const Action action = play.world.expert_action(unseen);
    CHECK(other.expert_action(unseen) == action);
    play.world.step(action);
    other.step(action);
    CHECK(std::memcmp(&play.world.state(), &other.state(), sizeof(WorldState)) == 0);
  }
}

TEST_CASE("expert: finds the target of the other room from every start, facing it at the end") {
  House plan = two_rooms(1.6F, 2.4F);
  add_box(plan, {7.6F, 0.4F, 0.6F}, {0.4F, 0.8F, 0.4F});
  add_box(plan, {5.5F, 0.5F, 2.2F}, {0.5F, 1.0F, 1.0F});
  int episodes = 0;
  int successes = 0;
  for (float x = 0.4F; x < 3.7F; x += 0.8F) {
    for (float z = 0.4F; z < 3.7F; z += 0.8F) {
      for (float yaw = 0; yaw < 360; yaw += 66) {
        const EpisodeSpec spec = spec_at(x, z, yaw, {0});
        Play play(plan, spec);
        ++episodes;
        for (int i = 0; i < 100; ++i) {
          const auto pixels = ideal_pixels(play.world);
          const Action action = play.world.expert_action({pixels, pixels});
          play.world.step(action);
          if (action != Action::kDone) continue;
          const Facts facts = play.facts(pixels);
          successes += facts.target_visible;
          break;
        }
      }
    }
  }
  CHECK(episodes >= 100);
  CHECK(successes == episodes);
}
