// The arm: joints, what it bumps into, what it takes and lets go, from where it reaches.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/rng.hpp"
#include "sim/grasp.hpp"
#include "sim/reach.hpp"
#include "sim/world.hpp"
#include "tests/sim/house_fixture.hpp"

using namespace flare;
using namespace flare::sim;
using namespace flare::sim::testing;

namespace {

EpisodeSpec spec_at(float x, float z, float yaw_deg) {
  EpisodeSpec spec{};
  spec.x = x;
  spec.z = z;
  spec.yaw_deg = yaw_deg;
  return spec;
}

int add_light(House& house, Vec3 center, Vec3 size) {
  const int index = add_box(house, center, size);
  house.objects[static_cast<std::size_t>(index)].pickupable = true;
  return index;
}

struct Play {
  std::shared_ptr<const LoadedHouse> house;
  World world;
  Play(House plan, const EpisodeSpec& spec)
      : house(std::make_shared<const LoadedHouse>(std::move(plan), stretch())) {
    world.reset(house, spec, nullptr);
  }
  /// Facts after the action.
  Facts act(Action action, int times = 1) {
    for (int i = 0; i < times; ++i) world.step(action);
    Facts facts{};
    const std::array<std::int32_t, kMaxTargets> none{};
    const std::span<const std::int32_t> pixels(none.data(), world.targets().size());
    world.write_facts({pixels, pixels}, facts);
    return facts;
  }
  [[nodiscard]] const ArmPose& arm() const { return world.pose().arm; }
  [[nodiscard]] Solid box(int object) const {
    return current_box(world.surroundings(), world.pose(), object);
  }
};

}  // namespace

TEST_CASE("arm: hand and wrist, by hand") {
  const Pose pose = start_pose(*stretch(), {2, 2}, 90);
  // Heading +x, the right is -z. The base is 0.1157 m to the left and 0.0239 m behind; the arm
  // extends to the right: the wrist is 0.243 - 0.1157 = 0.1273 m to the right, the hand 0.2 more.
  const Vec3 wrist = wrist_of(*stretch(), pose);
  CHECK(wrist.x == doctest::Approx(2 - 0.0239));
  CHECK(wrist.z == doctest::Approx(2 - 0.1273));
  CHECK(wrist.y == doctest::Approx(0.9009982 - 0.739992 + 0.1));
  const Hand hand = hand_of(*stretch(), pose);
  CHECK(hand.center.z == doctest::Approx(2 - 0.3273));
  CHECK(hand.center.y == doctest::Approx(wrist.y));
  CHECK(hand.yaw_deg == 180.0F);
  Pose turned = pose;
  turned.arm.wrist_yaw_deg = -90;  // from pointing along -z by 90 to the left: +x
  CHECK(hand_of(*stretch(), turned).center.x == doctest::Approx(2 - 0.0239 + 0.2));
  CHECK(hand_of(*stretch(), turned).center.z == doctest::Approx(wrist.z));
}

TEST_CASE("arm: every action by its amount, to the joint's stop") {
  Play play(square_room(), spec_at(2, 2, 0));
  struct Case {
    Action action;
    float ArmPose::* joint;
    float change;
  };
  const std::array<Case, 10> cases = {{{Action::kArmUp, &ArmPose::lift, 0.1F},
                                       {Action::kArmOut, &ArmPose::extension, 0.1F},
                                       {Action::kArmUpSmall, &ArmPose::lift, 0.02F},
                                       {Action::kArmOutSmall, &ArmPose::extension, 0.02F},
                                       {Action::kArmDown, &ArmPose::lift, -0.1F},
                                       {Action::kArmIn, &ArmPose::extension, -0.1F},
                                       {Action::kArmDownSmall, &ArmPose::lift, -0.02F},
                                       {Action::kArmInSmall, &ArmPose::extension, -0.02F},
                                       {Action::kWristOpen, &ArmPose::wrist_yaw_deg, -10.0F},
                                       {Action::kWristClose, &ArmPose::wrist_yaw_deg, 10.0F}}};
  for (const Case& c : cases) {
    const float before = play.arm().*c.joint;
    CHECK(play.act(c.action).last_action_success == 1);
    CHECK(play.arm().*c.joint - before == doctest::Approx(c.change));
  }
  // From 0.1 up: nine whole steps to 1.0, then 0.0457 to the stop, then nothing: a failure that is
  // no collision.
  CHECK(play.act(Action::kArmUp, 10).last_action_success == 1);
  CHECK(play.arm().lift == 1.0457F);
  const Facts stopped = play.act(Action::kArmUp);
  CHECK(stopped.last_action_success == 0);
  CHECK(stopped.collided == 0);
  CHECK(stopped.arm_lift == 1.0457F);
  CHECK(play.act(Action::kArmDown, 11).last_action_success == 1);
  // 0.7 mm are left to the lower stop.
  CHECK(play.act(Action::kArmDown).last_action_success == 0);
  CHECK(play.arm().lift == doctest::Approx(-0.0543));
  CHECK(play.act(Action::kArmOut, 6).arm_extension == 0.759F);
  CHECK(play.act(Action::kArmOut).last_action_success == 0);
  CHECK(play.act(Action::kWristClose, 8).wrist_yaw_deg == 75.0F);
  CHECK(play.act(Action::kWristClose).last_action_success == 0);
  // To the other side of the forbidden zone: 335 degrees the long way, 34 steps with the last of 5.
  CHECK(play.act(Action::kWristOpen, 33).wrist_yaw_deg == doctest::Approx(-255));
  CHECK(play.act(Action::kWristOpen).last_action_success == 1);
  CHECK(play.arm().wrist_yaw_deg == -260.0F);
  CHECK(play.act(Action::kWristOpen).last_action_success == 0);
}

TEST_CASE("arm: a rest of less than 5 mm or 2 degrees to the stop counts as nothing") {
  Pose pose = start_pose(*stretch(), {2, 2}, 0);
  pose.arm.lift = 1.0457F - 0.004F;
  CHECK_FALSE(target_pose(*stretch(), pose, Action::kArmUp));
  pose.arm.lift = 1.0457F - 0.006F;
  CHECK(target_pose(*stretch(), pose, Action::kArmUp)->arm.lift == 1.0457F);
  pose.arm.wrist_yaw_deg = 73.5F;
  CHECK_FALSE(target_pose(*stretch(), pose, Action::kWristClose));
}

TEST_CASE(
    "arm: extends up to a wall and no farther, through a door, not through what is above it") {
  // Heading +z at x = 3: the hand is at x = 3.3273 and may come to 4 - 0.035 = 3.965: 0.6377 m.
  Play wall(square_room(), spec_at(3, 2, 0));
  CHECK(wall.act(Action::kArmOut, 5).collided == 0);
  CHECK(wall.arm().extension == doctest::Approx(0.743));
  Play near(square_room(), spec_at(3.4F, 2, 0));
  // 0.2377 m: two steps, and one small one of the 0.0377 m left, the hand then ends at 3.9473.
  CHECK(near.act(Action::kArmOut, 2).collided == 0);
  CHECK(near.act(Action::kArmOut).collided == 1);
  CHECK(near.arm().extension == doctest::Approx(0.443));
  CHECK(near.act(Action::kArmOutSmall).last_action_success == 1);
  CHECK(near.act(Action::kArmOutSmall).last_action_success == 0);
  CHECK(near.act(Action::kMoveAhead).collided == 0);  // along it

  Play door(two_rooms(1.5F, 2.5F), spec_at(3.4F, 2, 0));
  CHECK(door.act(Action::kArmOut, 6).collided == 0);
  CHECK(door.arm().extension == 0.759F);
  CHECK(door.act(Action::kMoveAhead, 3).collided == 1);  // against the jamb at z = 2.5
  House low = two_rooms(1.5F, 2.5F);
  low.openings[0].y1 = 0.6F;  // a hatch: the arm at 0.26 m passes, at 0.66 m it does not
  Play hatch(low, spec_at(3.4F, 2, 0));
  CHECK(hatch.act(Action::kArmOut, 6).collided == 0);
  CHECK(hatch.act(Action::kArmUp, 2).collided == 0);
  CHECK(hatch.act(Action::kArmUp, 2).collided == 1);
}

TEST_CASE("arm: a turn sweeps it, a stowed arm turns freely") {
  House plan = square_room();
  // Its corner (2.6, 2.5) is 0.78 m away, 40 degrees to the left of the arm that points along +x
  // and ends at 0.83 m.
  add_box(plan, {2.5F, 0.5F, 2.6F}, {0.2F, 1.0F, 0.2F});
  Play play(plan, spec_at(2, 2, 0));
  CHECK(play.act(Action::kArmOut, 5).collided == 0);
  CHECK(play.act(Action::kRotateLeft).collided == 0);
  const Facts blocked = play.act(Action::kRotateLeft);
  CHECK(blocked.collided == 1);
  CHECK(blocked.last_action_success == 0);
  CHECK(blocked.yaw_deg == 330.0F);
  CHECK(play.act(Action::kArmIn, 5).collided == 0);
  CHECK(play.act(Action::kRotateLeft).yaw_deg == 300.0F);
}

TEST_CASE("arm: stowed it touches nothing, however near the wall is") {
  Play play(square_room(), spec_at(3.75F, 2, 0));  // the hand would be at 4.08
  CHECK(play.act(Action::kArmUp, 3).collided == 0);
  CHECK(play.act(Action::kWristOpen, 3).collided == 0);
  CHECK(play.act(Action::kMoveAhead).collided == 0);
  CHECK(play.act(Action::kWristClose, 3).collided == 0);
  CHECK(play.act(Action::kArmOutSmall).collided == 1);
}

TEST_CASE("arm: goes under a table and over it, not through its top") {
  House plan = square_room();
  const int table = add_box(plan, {2.9F, 0.4F, 2}, {0.8F, 0.8F, 0.8F});  // top from y = 0.72
  plan.objects[static_cast<std::size_t>(table)].shape = Shape::kTable;
  Play under(plan, spec_at(2.1F, 2, 0));
  CHECK(under.act(Action::kArmOut, 5).collided == 0);
  CHECK(under.act(Action::kArmUp, 4).collided == 0);  // at 0.661, 0.024 m below the top
  CHECK(under.act(Action::kArmUp).collided == 1);
  Play over(plan, spec_at(2.1F, 2, 0));
  CHECK(over.act(Action::kArmUp, 6).collided == 0);  // at 0.861
  CHECK(over.act(Action::kArmOut, 5).collided == 0);
  CHECK(over.act(Action::kArmDown).collided == 1);
  Play into(plan, spec_at(2.1F, 2, 0));
  CHECK(into.act(Action::kArmUp, 5).collided == 0);  // at 0.761
  CHECK(into.act(Action::kArmOut, 2).collided == 1);
}

TEST_CASE("grasp: takes what meets the hand sphere, carries it, puts it on what is below") {
  House plan = square_room();
  add_box(plan, {3, 0.25F, 2}, {0.6F, 0.5F, 1.2F});  // top at 0.5
  const int apple = add_light(plan, {2.9F, 0.54F, 2}, {0.08F, 0.08F, 0.08F});
  EpisodeSpec spec = spec_at(2, 2, 0);
  spec.goal = static_cast<std::int32_t>(Goal::kHold);
  spec.num_targets = 1;
  spec.targets[0] = apple;
  Play play(plan, spec);
  // The hand at y = 0.161 + 0.4 = 0.561, x = 2.3273, z = 1.9761.
  CHECK(play.act(Action::kArmUp, 3).target_in_reach == 0);
  CHECK(play.act(Action::kPickup).picked_up == 0);
  const Facts before = play.act(Action::kArmOut, 5);  // the hand at x = 2.8273
  CHECK(before.collided == 0);
  // To the face x = 2.86 of the box, which holds z and y of the hand's centre.
  CHECK(before.target_hand_distance == doctest::Approx(2.86 - 2.8273).epsilon(0.01));
  CHECK(before.target_in_reach == 1);
  CHECK(before.in_reach[0] == 1);
  const Facts taken = play.act(Action::kPickup);
  CHECK(taken.picked_up == 1);
  CHECK(taken.last_action_success == 0);  // as in the original
  CHECK(taken.held_object == apple);
  CHECK(taken.holds_target == 1);
  CHECK(taken.target_geodesic == -1.0F);  // this world was given no field
  CHECK(play.act(Action::kDone).last_action_success == 1);
  CHECK(play.act(Action::kPickup).picked_up == 0);  // a full hand
  const Vec3 offset = play.world.state().things.held_offset;
  play.act(Action::kArmUp, 2);
  play.act(Action::kRotateLeft, 3);  // now the arm points along +z, which was ahead
  const Hand hand = hand_of(*stretch(), play.world.pose());
  CHECK(play.box(apple).base.centre.z == doctest::Approx(hand.center.z + offset.z));
  CHECK(play.box(apple).y0 == doctest::Approx(0.7));
  const Facts let_go = play.act(Action::kDropoff);
  CHECK(let_go.dropped == 1);
  CHECK(let_go.last_action_success == 1);
  CHECK(let_go.held_object == -1);
  CHECK(play.box(apple).y0 == doctest::Approx(0.0));           // the floor
  CHECK(play.act(Action::kDropoff).last_action_success == 1);  // always
  CHECK(play.act(Action::kDropoff).dropped == 0);
}

TEST_CASE("grasp: a dropped object lands on the highest surface any part of it meets") {
  House plan = square_room();
  add_box(plan, {3, 0.25F, 2}, {0.6F, 0.5F, 1.2F});
  const int apple = add_light(plan, {2.75F, 0.54F, 2}, {0.08F, 0.08F, 0.08F});
  const int book = add_light(plan, {2.75F, 0.515F, 2.3F}, {0.2F, 0.03F, 0.2F});
  Play play(plan, spec_at(2, 2, 0));
  play.act(Action::kArmUp, 4);
  play.act(Action::kArmOut, 4);
  play.act(Action::kArmDown);
  REQUIRE(play.act(Action::kPickup).held_object == apple);
  play.act(Action::kArmUp, 2);
  play.act(Action::kMoveAhead);
  play.act(Action::kRotateLeftSmall);
  play.act(Action::kDropoff);
  CHECK(overlaps(play.box(apple).base, play.box(book).base));
  CHECK(play.box(apple).y0 == doctest::Approx(0.53));
  CHECK(play.world.state().things.num_displaced == 1);
}

TEST_CASE("grasp: what stood on a taken object falls onto what is below") {
  House plan = square_room();
  add_box(plan, {3, 0.25F, 2}, {0.6F, 0.5F, 1.2F});
  const int book = add_light(plan, {2.9F, 0.515F, 2}, {0.3F, 0.03F, 0.3F});
  const int mug = add_light(plan, {2.95F, 0.58F, 2}, {0.08F, 0.1F, 0.08F});
  const int coin = add_light(plan, {2.95F, 0.635F, 2}, {0.02F, 0.01F, 0.02F});
  Play play(plan, spec_at(2, 2, 0));
  play.act(Action::kArmUp, 3);
  play.act(Action::kArmOut, 3);
  play.act(Action::kArmOutSmall, 4);  // 0.053 m from the book
  REQUIRE(play.act(Action::kPickup).held_object == book);
  CHECK(play.box(mug).y0 == doctest::Approx(0.5));
  CHECK(play.box(coin).y0 == doctest::Approx(0.6));
  CHECK(play.world.state().things.num_displaced == 2);
}

TEST_CASE("grasp: the nearest of two is taken; a heavy one never") {
  House plan = square_room();
  add_box(plan, {2.42F, 0.26F, 2.2F}, {0.05F, 0.05F, 0.05F});
  add_light(plan, {2.4F, 0.26F, 1.976F}, {0.08F, 0.08F, 0.08F});
  const int nearer = add_light(plan, {2.33F, 0.28F, 1.976F}, {0.02F, 0.02F, 0.02F});
  Play play(plan, spec_at(2, 2, 0));
  CHECK(graspable_object(play.world.surroundings(), play.world.pose()) == nearer);
}

TEST_CASE("grasp: a stowed hand takes nothing from behind a wall") {
  House plan = two_rooms(1.5F, 2.5F);
  // The joints put the hand at (4.0273, 3.1761): through the wall x = 4.
  const int apple = add_light(plan, {4.05F, 0.26F, 3.176F}, {0.08F, 0.08F, 0.08F});
  EpisodeSpec spec = spec_at(3.7F, 3.2F, 0);
  spec.num_targets = 1;
  spec.targets[0] = apple;
  Play play(plan, spec);
  const Facts facts = play.act(Action::kPickup);
  CHECK(facts.target_hand_distance < stretch()->arm->grasp_radius);
  CHECK(facts.picked_up == 0);
  CHECK(facts.target_in_reach == 0);
}

TEST_CASE("surroundings: a place from which something was taken is free, where it was put is not") {
  House plan = square_room();
  const int ball = add_light(plan, {2.85F, 0.15F, 2}, {0.3F, 0.3F, 0.3F});
  Play play(plan, spec_at(2, 2, 0));
  play.act(Action::kArmOut, 4);
  REQUIRE(play.act(Action::kPickup).held_object == ball);
  const Pose there = start_pose(*stretch(), {2.85F, 2}, 0);
  CHECK_FALSE(is_body_blocked(play.world.surroundings(), there));
  CHECK(play.house->collision.blocked(disc_centre(stretch()->body, there)));
  play.act(Action::kArmUp);
  play.act(Action::kRotateRight, 3);
  play.act(Action::kDropoff);
  const Solid box = play.box(ball);
  const Pose onto = start_pose(*stretch(), box.base.centre, 0);
  CHECK(is_body_blocked(play.world.surroundings(), onto));
}

// A box let go in the robot's own place was no obstacle any more: the robot walked through it.
TEST_CASE("surroundings: out of what was put down in the own place, never deeper into it") {
  House plan = square_room();
  const int crate = add_light(plan, {0.5F, 0.2F, 0.5F}, {0.4F, 0.4F, 0.4F});
  const LoadedHouse house(std::move(plan), stretch());
  const Pose pose = start_pose(house.robot, {2, 2}, 0);
  const float radius = house.robot.body.radius;
  const float disc_z = disc_centre(house.robot.body, pose).z;
  Rearrangement things;
  const Surroundings around = {house, things};
  // Its near side 5 cm inside of the disc, ahead of the robot.
  REQUIRE(things.put({crate, {2, 0.2F, disc_z + radius - 0.05F + 0.2F}, 0}));
  CHECK(is_body_blocked(around, pose));
  CHECK_FALSE(moved(around, pose, Action::kMoveAhead));
  CHECK(moved(around, pose, Action::kMoveBack));
  CHECK(moved(around, pose, Action::kSubDone));
  // Over the middle of the disc: every way leads out.
  REQUIRE(things.put({crate, {2, 0.2F, disc_z}, 0}));
  CHECK(moved(around, pose, Action::kMoveAhead));
  CHECK(moved(around, pose, Action::kMoveBack));
  CHECK(moved(around, pose, Action::kRotateLeft));
}

TEST_CASE("reach: every pose found takes the object, and no other, when it is walked to") {
  House plan = two_rooms(1.5F, 2.5F);
  add_box(plan, {3, 0.3F, 3.6F}, {1.2F, 0.6F, 0.6F});
  const int apple = add_light(plan, {3, 0.64F, 3.5F}, {0.08F, 0.08F, 0.08F});
  // Nearer to the hand than the apple from some places, and something that stands over both.
  add_light(plan, {3.1F, 0.66F, 3.45F}, {0.1F, 0.12F, 0.1F});
  add_box(plan, {2.75F, 1, 3.6F}, {0.1F, 0.8F, 0.6F}, 20);
  const LoadedHouse house(plan, stretch());
  const TargetReach reach(house, apple);
  int found = 0;
  for (const Vec2 cell : house.grid.cells()) {
    const auto pose = reach.pose_at(cell);
    if (!pose) continue;
    ++found;
    CHECK(length(disc_centre(stretch()->body, *pose) - cell) < 1e-4F);
    Rearrangement things;
    CHECK(graspable_object({house, things}, *pose) == apple);
    // From stowed at the same lift the arm gets there.
    Pose stowed = *pose;
    stowed.arm.extension = stretch()->arm->rest.extension;
    CHECK_FALSE(is_way_blocked({house, things}, stowed, *pose));
    CHECK(cell.x >= reach.area().min.x);
    CHECK(cell.z <= reach.area().max.z);
  }
  CHECK(found > 10);
  const std::vector<std::int32_t> targets = {apple};
  const GeodesicField field = field_to_reach(house, targets);
  const int near = house.grid.nearest_cell({3, 2.85F});
  CHECK(field.distance[static_cast<std::size_t>(near)] < 0.3F);
  CHECK(field.distance[static_cast<std::size_t>(house.grid.nearest_cell({7, 2}))] > 3.0F);
}

TEST_CASE("world: no action sequence puts arm or body into anything; what fails changes nothing") {
  House plan = two_rooms(1.5F, 2.5F);
  add_box(plan, {3.3F, 0.3F, 3.6F}, {1.2F, 0.6F, 0.6F}, 20);
  const int table = add_box(plan, {1, 0.35F, 1}, {1.0F, 0.7F, 0.6F}, 70);
  plan.objects[static_cast<std::size_t>(table)].shape = Shape::kTable;
  add_box(plan, {5.2F, 0.8F, 3.3F}, {0.3F, 1.6F, 1.2F});
  for (int i = 0; i < 6; ++i) {
    add_light(plan, {2.8F + 0.15F * static_cast<float>(i), 0.64F, 3.4F}, {0.07F, 0.08F, 0.07F});
    const Vec2 round = heading(60.0F * static_cast<float>(i)) * 0.62F;
    add_light(plan, {2.2F + round.x, 0.26F, 2 + round.z}, {0.1F, 0.1F, 0.1F});
  }
  int collisions = 0;
  int taken = 0;
  for (std::uint64_t run = 0; run < 24; ++run) {
    Play play(plan, spec_at(2.2F, 2, 30.0F * static_cast<float>(run % 12)));
    for (std::uint64_t step = 0; step < 150; ++step) {
      const WorldState before = play.world.state();
      // Every action, and more of those that bring the hand to something.
      static constexpr std::array<Action, 6> kMore = {Action::kArmOut,    Action::kArmOut,
                                                      Action::kPickup,    Action::kPickup,
                                                      Action::kMoveAhead, Action::kArmUp};
      const std::uint64_t draw = keyed_bits(9, run, 0, step, 0) % (kNumActions + kMore.size());
      const Action action =
          draw < kNumActions ? static_cast<Action>(draw) : kMore[draw - kNumActions];
      play.world.step(action);
      const WorldState& now = play.world.state();
      collisions += now.collided;
      taken += now.picked_up;
      // What was put down at the robot's own feet may be in its place, nothing else.
      CHECK_FALSE(play.house->collision.blocked(disc_centre(stretch()->body, play.world.pose()),
                                                stretch()->body.radius, &now.things));
      if (now.things.held < 0) {
        CHECK_FALSE(is_arm_blocked(play.world.surroundings(), play.world.pose()));
      }
      if (now.last_action_success != 0 || now.picked_up != 0) continue;
      CHECK(std::memcmp(&before.pose, &now.pose, sizeof now.pose) == 0);
      CHECK(std::memcmp(&before.things, &now.things, sizeof now.things) == 0);
      CHECK(before.travelled == now.travelled);
      CHECK(before.rooms_seen == now.rooms_seen);
    }
  }
  CHECK(collisions > 50);
  CHECK(taken > 3);
}
