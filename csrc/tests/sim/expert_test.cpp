// Experts for goals of the arm and of rooms; that of seeing is in world_test.cpp.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "sim/field_cache.hpp"
#include "sim/grasp_plan.hpp"
#include "sim/world.hpp"
#include "tests/sim/house_fixture.hpp"

using namespace flare;
using namespace flare::sim;
using namespace flare::sim::testing;

namespace {

EpisodeSpec spec_of(Goal goal, float x, float z, float yaw_deg) {
  EpisodeSpec spec{};
  spec.seed = 11;
  spec.goal = static_cast<std::int32_t>(goal);
  spec.x = x;
  spec.z = z;
  spec.yaw_deg = yaw_deg;
  spec.targets.fill(-1);
  return spec;
}

/// A room with a table and a mug on it, out of reach of the start.
House room_with_mug() {
  House house = square_room();
  add_box(house, {3.2F, 0.35F, 3.2F}, {0.8F, 0.7F, 0.8F});
  const int mug = add_box(house, {3.0F, 0.75F, 3.0F}, {0.1F, 0.1F, 0.1F});
  house.objects[static_cast<std::size_t>(mug)].pickupable = true;
  return house;
}

struct Played {
  WorldState end;
  std::vector<Action> actions;
  Facts facts;
};

Played play(House plan, const EpisodeSpec& spec, int most = 200) {
  const auto house = std::make_shared<const LoadedHouse>(std::move(plan), stretch());
  FieldCache cache{1U << 20U};
  World world;
  world.reset(house, spec, &cache);
  const std::array<std::int32_t, kMaxTargets> none{};
  const std::span<const std::int32_t> unseen(none.data(), world.targets().size());
  Played played;
  while (world.state().step < most) {
    played.actions.push_back(world.expert_action({unseen, unseen}));
    world.step(played.actions.back());
    if (played.actions.back() == Action::kDone) break;
  }
  played.end = world.state();
  world.write_facts({unseen, unseen}, played.facts);
  return played;
}

}  // namespace

TEST_CASE("expert: takes the mug from the table, whatever the start") {
  for (float yaw = 0; yaw < 360; yaw += 45) {
    EpisodeSpec spec = spec_of(Goal::kHold, 1.0F, 1.0F, yaw);
    spec.num_targets = 1;
    spec.targets[0] = 1;
    const Played played = play(room_with_mug(), spec);
    CHECK(played.actions.back() == Action::kDone);
    CHECK(played.end.things.held == 1);
    CHECK(played.facts.holds_target == 1);
    CHECK(std::count(played.actions.begin(), played.actions.end(), Action::kPickup) == 1);
  }
}

TEST_CASE("expert: knocked off its plan it makes another at once") {
  const auto house = std::make_shared<const LoadedHouse>(room_with_mug(), stretch());
  EpisodeSpec spec = spec_of(Goal::kHold, 1.0F, 1.0F, 45);
  spec.num_targets = 1;
  spec.targets[0] = 1;
  FieldCache cache{1U << 20U};
  for (const Action stray : {Action::kArmUp, Action::kArmOut, Action::kPickup, Action::kMoveBack}) {
    World world;
    world.reset(house, spec, &cache);
    // Until the arm is on its way, then once astray, then on: no posture is looked for by chance.
    while (!(world.expert_action({}) == Action::kArmOut && world.state().plan.size > 0)) {
      world.step(world.expert_action({}));
      REQUIRE(world.state().step < 100);
    }
    world.step(stray);
    CHECK(world.state().strayed == (stray == Action::kArmOut ? 0 : 1));
    const int strayed_at = world.state().step;
    Action action = world.expert_action({});
    while (action != Action::kDone && world.state().step < strayed_at + 30) {
      world.step(action);
      action = world.expert_action({});
    }
    CHECK(action == Action::kDone);
    CHECK(world.state().things.held == 1);
  }
}

TEST_CASE("expert: a hand that is full of something else is emptied first") {
  House plan = room_with_mug();
  const auto house = std::make_shared<const LoadedHouse>(plan, stretch());
  EpisodeSpec spec = spec_of(Goal::kHold, 1.0F, 1.0F, 0);
  spec.num_targets = 1;
  spec.targets[0] = 1;
  FieldCache cache{1U << 20U};
  World world;
  world.reset(house, spec, &cache);
  WorldState state = world.state();
  state.things.held = 0;
  world.restore(house, state, &cache);
  CHECK(world.expert_action({}) == Action::kDropoff);
}

TEST_CASE("expert: an object that no arm reaches ends the episode instead of a walk for ever") {
  House plan = room_with_mug();
  plan.objects[1].center.y = 2.3F;
  EpisodeSpec spec = spec_of(Goal::kHold, 1.0F, 1.0F, 0);
  spec.num_targets = 1;
  spec.targets[0] = 1;
  const Played played = play(std::move(plan), spec);
  CHECK(played.actions.size() == 1);
  CHECK(played.actions.back() == Action::kDone);
}

TEST_CASE("expert: enters the goal room and says done inside") {
  EpisodeSpec spec = spec_of(Goal::kEnterRoom, 1.0F, 1.0F, 200);
  spec.target_rooms = 2;
  const Played played = play(two_rooms(1.6F, 2.4F), spec);
  CHECK(played.actions.back() == Action::kDone);
  CHECK(played.facts.in_target_room == 1);
}

TEST_CASE("expert: visits and reports both rooms, each once") {
  const Played played = play(two_rooms(1.6F, 2.4F), spec_of(Goal::kVisitRooms, 1.0F, 1.0F, 200));
  CHECK(played.actions.front() == Action::kSubDone);
  CHECK(played.actions.back() == Action::kDone);
  CHECK(std::popcount(played.end.rooms_reported) == 2);
  CHECK(std::count(played.actions.begin(), played.actions.end(), Action::kSubDone) == 2);
}

TEST_CASE("expert: reports a room that it is well inside of, not the line that bounds it") {
  const auto house = std::make_shared<const LoadedHouse>(two_rooms(1.6F, 2.4F), stretch());
  FieldCache cache{1U << 20U};
  World world;
  world.reset(house, spec_of(Goal::kVisitRooms, 1.0F, 1.0F, 200), &cache);
  while (true) {
    const Action action = world.expert_action({});
    const Pose& pose = world.state().pose;
    if (action == Action::kSubDone && world.state().step > 0) {
      const Vec2 behind = pose.position - heading(pose.yaw_deg) * 0.6F;
      CHECK(room_at(house->house, behind) == room_at(house->house, pose.position));
    }
    if (action == Action::kDone) break;
    world.step(action);
    REQUIRE(world.state().step < 200);
  }
}

TEST_CASE("grasp: the planned actions are known to succeed, or there are none") {
  const auto house = std::make_shared<const LoadedHouse>(room_with_mug(), stretch());
  const Rearrangement nothing;
  const Surroundings around = {*house, nothing};
  const std::int32_t mug = 1;
  // The arm extends to the right: facing z from the west of the table it points at the mug.
  const Pose facing = start_pose(*stretch(), {2.45F, 3.02F}, 0);
  const auto actions = grasp_actions(around, facing, {&mug, 1}, Grip::kAny);
  REQUIRE_FALSE(actions.empty());
  CHECK(actions.back() == Action::kPickup);
  Pose pose = facing;
  for (std::size_t i = 0; i + 1 < actions.size(); ++i) {
    const auto next = moved(around, pose, actions[i]);
    REQUIRE(next);
    pose = *next;
  }
  CHECK(takes_target(around, pose, {&mug, 1}));
  // A sure grip has the hand's centre above or inside the box of 0.1 m.
  Pose sure = facing;
  for (const Action action : grasp_actions(around, facing, {&mug, 1}, Grip::kSure)) {
    if (action != Action::kPickup) sure = *moved(around, sure, action);
  }
  const Vec3 hand = hand_of(*stretch(), sure).center;
  CHECK(std::abs(hand.x - 3.0F) <= 0.05F);
  CHECK(std::abs(hand.z - 3.0F) <= 0.05F);
  const Pose turned = start_pose(*stretch(), {2.45F, 3.02F}, 180);
  CHECK(grasp_actions(around, turned, {&mug, 1}, Grip::kAny).empty());
}
