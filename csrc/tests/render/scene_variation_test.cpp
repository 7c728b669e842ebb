// Moved objects, the robot's own body and the light of an episode.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "render/rasterizer.hpp"
#include "tests/fixtures/houses.hpp"
#include "tests/render/picture.hpp"

namespace flare::render {
namespace {

using sim::Shape;

/// As in rasterizer_test: 90 degrees, so that 100 x 100 pixels have a focal length of 50 px.
Camera level_camera() {
  Camera camera;
  camera.position = {0.0F, 1.0F, -1.5F};
  camera.vertical_fov_deg = 90.0F;
  return camera;
}

/// A room with one box 1 m wide, 0.4 m high and deep, ahead on the right and level with the eye.
sim::House room_with_box(float yaw_deg = 0.0F) {
  fixtures::HouseBuilder b;
  b.house = fixtures::empty_room();
  b.add_object("Box", Shape::kBox, {0.8F, 0.2F, 0.2F}, 0, 1.2F, 0.8F, 1.0F, {1.0F, 0.4F, 0.4F},
               yaw_deg);
  return std::move(b.house);
}

SceneVariation moved_to(const MovedObject& moved) {
  SceneVariation variation;
  variation.moved = {&moved, 1};
  return variation;
}

RobotPart box_part(Vec3 center, Vec3 size, bool is_round = false) {
  return {
      center,  {size.x, 0.0F, 0.0F}, {0.0F, size.y, 0.0F}, {0.0F, 0.0F, size.z}, {0.2F, 0.9F, 0.3F},
      is_round};
}

TEST_CASE("moved: an object is drawn at its new pose and not at home") {
  // Front face 2 m ahead: half width 50 * 0.5 / 2 = 12.5 px, half height 50 * 0.2 / 2 = 5 px.
  const auto scene = Scene::build(room_with_box());
  Rasterizer rasterizer;
  Picture p(100, 100);
  const MovedObject moved = {0, {0.0F, 1.0F, 0.7F}, 0.0F};
  p.draw(rasterizer, *scene, level_camera(), moved_to(moved));
  for (int y = 0; y < 100; ++y) {
    for (int x = 0; x < 100; ++x) {
      const bool inside = x >= 37 && x <= 61 && y >= 45 && y <= 54;
      REQUIRE((p.ids[p.at(x, y)] == 1) == inside);
    }
  }
  CHECK(p.depth[p.at(50, 50)] == doctest::Approx(2.0F));
  const std::int32_t object = 0;
  std::int32_t pixels = 0;
  rasterizer.count_pixels({&object, 1}, {&pixels, 1});
  CHECK(pixels == 25 * 10);
}

TEST_CASE("moved: yaw is absolute, and light falls on the turned faces") {
  // Turned by 90 degrees the box is 0.4 m wide: front face 50 * 0.2 / 1.7 = 5.9 px to either side.
  Rasterizer rasterizer;
  for (const float home_yaw : {0.0F, 33.0F}) {
    const auto scene = Scene::build(room_with_box(home_yaw));
    Picture p(100, 100);
    const MovedObject moved = {0, {0.0F, 1.0F, 0.7F}, 90.0F};
    p.draw(rasterizer, *scene, level_camera(), moved_to(moved));
    CHECK(p.depth[p.at(50, 50)] == doctest::Approx(1.7F));
    for (int x = 0; x < 100; ++x) CHECK((p.ids[p.at(x, 50)] == 1) == (x >= 44 && x <= 55));
    // A house that has the object there looks the same.
    fixtures::HouseBuilder b;
    b.house = fixtures::empty_room();
    b.add_object("Box", Shape::kBox, {0.8F, 0.2F, 0.2F}, 0, 0.0F, 0.8F, 0.7F, {1.0F, 0.4F, 0.4F},
                 90.0F);
    Picture there(100, 100);
    there.draw(rasterizer, *Scene::build(b.house), level_camera());
    CHECK(there.ids == p.ids);
    for (std::size_t i = 0; i < p.rgb.size(); ++i) CHECK(std::abs(there.rgb[i] - p.rgb[i]) <= 1);
  }
}

TEST_CASE("moved: into another room it is culled with that room and seen through its door") {
  const sim::House house = fixtures::three_rooms();
  const auto scene = Scene::build(house);
  Rasterizer culled;
  Rasterizer complete;
  complete.set_culling(false);
  Picture a(84, 48);
  Picture b(84, 48);
  long seen = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto uniform = [i](std::uint64_t draw, float high) {
      return high * keyed_uniform(99, i, 0, 0, draw);
    };
    const std::array<MovedObject, 2> moved = {
        {{static_cast<std::int32_t>(i % house.objects.size()),
          {0.4F + uniform(0, 8.2F), uniform(1, 2.0F), 0.4F + uniform(2, 7.2F)},
          uniform(3, 360.0F)},
         {static_cast<std::int32_t>((i + 5) % house.objects.size()),
          {0.4F + uniform(4, 8.2F), uniform(5, 2.0F), 0.4F + uniform(6, 7.2F)},
          uniform(7, 360.0F)}}};
    SceneVariation variation;
    variation.moved = moved;
    Camera camera;
    camera.position = {1.0F + uniform(8, 3.5F), 1.4F, 0.5F + uniform(9, 3.0F)};
    camera.yaw_deg = uniform(10, 360.0F);
    camera.pitch_deg = 20.0F;
    a.draw(culled, *scene, camera, variation);
    b.draw(complete, *scene, camera, variation);
    REQUIRE_MESSAGE(a.ids == b.ids, "pose " << i);
    seen += a.count(static_cast<std::uint16_t>(moved[0].object + 1));
  }
  CHECK(seen > 0);
}

TEST_CASE("robot: a part hides what is behind it and has the robot's id") {
  // Front face 1 m ahead, 0.4 m wide and high: 50 * 0.2 / 1 = 10 px to every side.
  const auto scene = Scene::build(room_with_box());
  Rasterizer rasterizer;
  Picture p(100, 100);
  const RobotPart part = box_part({0.0F, 1.0F, -0.4F}, {0.4F, 0.4F, 0.2F});
  SceneVariation variation;
  variation.robot = {&part, 1};
  p.draw(rasterizer, *scene, level_camera(), variation);
  for (int y = 0; y < 100; ++y) {
    for (int x = 0; x < 100; ++x) {
      const bool inside = x >= 40 && x <= 59 && y >= 40 && y <= 59;
      REQUIRE((p.ids[p.at(x, y)] == kRobotId) == inside);
    }
  }
  CHECK(p.depth[p.at(50, 50)] == doctest::Approx(1.0F));
  CHECK(p.rgb[3 * p.at(50, 50) + 1] > 3 * p.rgb[3 * p.at(50, 50)]);
}

TEST_CASE("robot: a cylinder is round, an axis turned over or of no length does no harm") {
  const auto scene = Scene::build(fixtures::empty_room());
  Rasterizer rasterizer;
  Picture p(100, 100);
  Camera down = level_camera();
  down.position = {0.0F, 2.0F, 0.0F};
  down.pitch_deg = 90.0F;
  RobotPart part = box_part({0.0F, 0.5F, 0.0F}, {1.0F, 1.0F, 1.0F}, true);
  SceneVariation variation;
  variation.robot = {&part, 1};
  // The top is 1 m below the eye: a polygon of 12 corners of radius 25 px has 12 / 2 sin(30 deg)
  // 25^2 = 1875 px.
  p.draw(rasterizer, *scene, down, variation);
  CHECK(p.count(kRobotId) == doctest::Approx(1875).epsilon(0.02));
  CHECK(p.ids[p.at(50, 50)] == kRobotId);
  part.axis_x = part.axis_x * -1.0F;
  p.draw(rasterizer, *scene, down, variation);
  CHECK(p.count(kRobotId) == doctest::Approx(1875).epsilon(0.02));
  part.axis_y = {};
  p.draw(rasterizer, *scene, down, variation);
  for (const float depth : p.depth) REQUIRE(std::isfinite(depth));
}

TEST_CASE("variation: bit-identical for every history of calls") {
  const auto scene = Scene::build(fixtures::three_rooms());
  const std::array<MovedObject, 1> moved = {{{8, {3.0F, 1.0F, 2.0F}, 40.0F}}};
  const std::array<RobotPart, 2> parts = {{box_part({4.0F, 0.5F, 2.0F}, {0.3F, 1.0F, 0.3F}),
                                           box_part({4.0F, 1.0F, 2.3F}, {0.1F, 0.1F, 0.6F}, true)}};
  SceneVariation variation;
  variation.light_seed = 5;
  variation.moved = moved;
  variation.robot = parts;
  Rasterizer used;
  Picture first(84, 48);
  Picture second(84, 48);
  for (std::uint64_t i = 0; i < 20; ++i) {
    const Camera camera = random_camera(i, {0.3F, 0.3F}, {8.7F, 7.7F});
    Rasterizer fresh;
    first.draw(fresh, *scene, camera, variation);
    second.draw(used, *scene, camera);
    second.draw(used, *scene, camera, variation);
    REQUIRE(first.hash() == second.hash());
  }
}

TEST_CASE("light: a seed changes colours everywhere and geometry nowhere") {
  const auto scene = Scene::build(fixtures::three_rooms());
  Rasterizer rasterizer;
  Camera camera;
  camera.position = {0.5F, 1.45F, 0.5F};
  camera.yaw_deg = 55.0F;
  camera.pitch_deg = 20.0F;
  Picture plain(84, 48);
  plain.draw(rasterizer, *scene, camera);
  int different = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SceneVariation variation;
    variation.light_seed = seed;
    Picture lit(84, 48);
    lit.draw(rasterizer, *scene, camera, variation);
    CHECK(lit.ids == plain.ids);
    CHECK(lit.depth == plain.depth);
    for (std::size_t i = 0; i < lit.rgb.size(); ++i)
      different += lit.rgb[i] != plain.rgb[i] ? 1 : 0;
  }
  CHECK(different > 8 * 84 * 48 * 3 * 8 / 10);
}

double hue_deg(double r, double g, double b) {
  return std::atan2(std::sqrt(3.0) * (g - b), 2.0 * r - g - b) * 180.0 / 3.14159265358979;
}

TEST_CASE("textures: a seed shifts objects each by itself, keeps their hue, and nothing else") {
  const sim::House house = fixtures::three_rooms();
  const auto scene = Scene::build(house);
  Rasterizer rasterizer;
  Camera camera;
  camera.position = {0.5F, 1.45F, 0.5F};
  camera.yaw_deg = 55.0F;
  camera.pitch_deg = 20.0F;
  Picture plain(84, 48);
  plain.draw(rasterizer, *scene, camera);
  int different = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SceneVariation variation;
    variation.texture_seed = seed;
    Picture shifted(84, 48);
    shifted.draw(rasterizer, *scene, camera, variation);
    CHECK(shifted.depth == plain.depth);
    for (std::size_t i = 0; i < plain.ids.size(); ++i) {
      const std::uint8_t* const a = &plain.rgb[3 * i];
      const std::uint8_t* const b = &shifted.rgb[3 * i];
      const bool is_same = std::equal(a, a + 3, b);
      if (plain.ids[i] == 0) REQUIRE(is_same);
      different += is_same ? 0 : 1;
      // Of vivid colours that are not clipped.
      if (*std::max_element(a, a + 3) - *std::min_element(a, a + 3) < 60) continue;
      if (*std::max_element(b, b + 3) == 255) continue;
      const double turn = hue_deg(a[0], a[1], a[2]) - hue_deg(b[0], b[1], b[2]);
      REQUIRE(std::abs(turn) < 3.0);
    }
  }
  CHECK(different > 20 * 100);
}

}  // namespace
}  // namespace flare::render
