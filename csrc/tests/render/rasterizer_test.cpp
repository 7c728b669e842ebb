#include "render/rasterizer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "tests/fixtures/houses.hpp"
#include "tests/render/picture.hpp"

namespace flare::render {
namespace {

using sim::Shape;

/// A 90 degree camera in the middle of the room at height 1, so that with 100 x 100 pixels the
/// focal length is 50 px.
Camera level_camera(float yaw_deg = 0.0F) {
  Camera camera;
  camera.position = {0.0F, 1.0F, -1.5F};
  camera.yaw_deg = yaw_deg;
  camera.vertical_fov_deg = 90.0F;
  return camera;
}

/// The empty room with one box of `size` whose middle is at `center`.
sim::House room_with_box(Vec3 center, Vec3 size) {
  fixtures::HouseBuilder b;
  b.house = fixtures::empty_room();
  b.add_object("Box", Shape::kBox, {0.8F, 0.2F, 0.2F}, 0, center.x, center.y - 0.5F * size.y,
               center.z, size);
  return b.house;
}

/// A camera at least 10 cm from every wall: nearer, the near plane would cut the wall open.
Camera random_pose_in(const sim::House& house, std::uint64_t number) {
  for (std::uint64_t attempt = 0;; ++attempt) {
    const Camera camera =
        random_camera(number + (attempt << 32U), house.bounds.min, house.bounds.max);
    const Vec2 at = {camera.position.x, camera.position.z};
    const bool is_clear =
        std::all_of(house.walls.begin(), house.walls.end(), [at](const sim::Wall& wall) {
          const Vec2 d = wall.p1 - wall.p0;
          const float t = std::clamp(dot(at - wall.p0, d) / dot(d, d), 0.0F, 1.0F);
          return length(at - (wall.p0 + d * t)) > 0.1F;
        });
    if (is_clear) return camera;
  }
}

/// Mean column and row of an object's pixels; (-1, -1) if it is not in the picture.
std::array<double, 2> middle_of(const Picture& p, std::uint16_t id) {
  double x_sum = 0;
  double y_sum = 0;
  double n = 0;
  for (int y = 0; y < p.height; ++y) {
    for (int x = 0; x < p.width; ++x) {
      if (p.ids[p.at(x, y)] != id) continue;
      x_sum += x + 0.5;
      y_sum += y + 0.5;
      n += 1;
    }
  }
  if (n == 0) return {-1, -1};
  return {x_sum / n, y_sum / n};
}

TEST_CASE("rasterizer: a box straight ahead covers the rectangle worked out by hand") {
  // Front face at z = 0.5, 2 m ahead, 1 m wide and 0.4 m high around the optical axis:
  // half width 50 * 0.5 / 2 = 12.5 px, half height 50 * 0.2 / 2 = 5 px.
  // Columns 37.5..62.5: centres 37.5 (left edge: in) to 61.5; centre 62.5 is on the right edge:
  // out.
  const sim::House house = room_with_box({0.0F, 1.0F, 1.0F}, {1.0F, 0.4F, 1.0F});
  const auto scene = Scene::build(house);
  Rasterizer rasterizer;
  Picture p(100, 100);
  p.draw(rasterizer, *scene, level_camera());
  for (int y = 0; y < 100; ++y) {
    for (int x = 0; x < 100; ++x) {
      const bool inside = x >= 37 && x <= 61 && y >= 45 && y <= 54;
      REQUIRE((p.ids[p.at(x, y)] == 1) == inside);
    }
  }
  CHECK(p.depth[p.at(50, 50)] == doctest::Approx(2.0F));
  CHECK(p.depth[p.at(40, 46)] == doctest::Approx(2.0F));  // along the axis, not the ray
}

TEST_CASE("rasterizer: depth of walls and floor is the distance along the optical axis") {
  const auto scene = Scene::build(fixtures::empty_room());
  Rasterizer rasterizer;
  Picture p(100, 100);
  p.draw(rasterizer, *scene, level_camera());
  CHECK(p.depth[p.at(50, 50)] == doctest::Approx(3.5F));  // wall at z = 2
  // Row 90: ray (0, -40.5 / 50, 1) falls 1 m after 50 / 40.5 m.
  CHECK(p.depth[p.at(50, 90)] == doctest::Approx(50.0F / 40.5F));
  CHECK(*std::min_element(p.depth.begin(), p.depth.end()) > 0.0F);
}

TEST_CASE("rasterizer: yaw turns clockwise, +x is right, row 0 is up, pitch looks down") {
  Rasterizer rasterizer;
  Picture p(100, 100);
  const auto draw = [&](Vec3 center, const Camera& camera) {
    p.draw(rasterizer, *Scene::build(room_with_box(center, {0.2F, 0.2F, 0.2F})), camera);
    return middle_of(p, 1);
  };
  const auto right_and_high = draw({0.8F, 1.5F, 0.5F}, level_camera());
  CHECK(right_and_high[0] > 60.0);
  CHECK(right_and_high[1] < 45.0);
  const auto left_and_low = draw({-0.8F, 0.5F, 0.5F}, level_camera());
  CHECK(left_and_low[0] < 40.0);
  CHECK(left_and_low[1] > 55.0);
  const auto east = draw({1.5F, 1.0F, -1.5F}, level_camera(90.0F));
  CHECK(east[0] == doctest::Approx(50.0).epsilon(0.02));
  Camera down = level_camera();
  down.pitch_deg = 30.0F;
  // At 2 m ahead and level the optical axis is 30 degrees below: 50 - 50 tan 30 = 21 px.
  CHECK(draw({0.0F, 1.0F, 0.5F}, down)[1] == doctest::Approx(21.1).epsilon(0.05));
}

TEST_CASE("rasterizer: the nearer of two boxes hides the other, whatever their order") {
  for (const bool near_first : {true, false}) {
    fixtures::HouseBuilder b;
    b.house = fixtures::empty_room();
    const float z0 = near_first ? 0.0F : 1.0F;
    for (const float z : {z0, 1.0F - z0}) {
      b.add_object("Box", Shape::kBox, {}, 0, 0.0F, 0.9F, z, {0.2F, 0.2F, 0.2F});
    }
    Rasterizer rasterizer;
    Picture p(100, 100);
    p.draw(rasterizer, *Scene::build(b.house), level_camera());
    CHECK(p.ids[p.at(50, 50)] == (near_first ? 1 : 2));
    CHECK(std::count(p.ids.begin(), p.ids.end(), near_first ? 2 : 1) == 0);
  }
}

TEST_CASE("rasterizer: through a door hole the next room is seen, through a closed door not") {
  for (const bool passable : {true, false}) {
    fixtures::HouseBuilder b;
    b.add_room("A", {{-2, -2}, {2, -2}, {2, 2}, {-2, 2}}, {});
    b.add_room("B", {{-2, 2}, {2, 2}, {2, 6}, {-2, 6}}, {});
    // Wall 2 runs from (2, 2) to (-2, 2): the hole is x -0.5..0.5.
    b.add_opening(sim::OpeningKind::kDoor, 2, 4, 1.5F, 2.5F, 0.0F, 2.0F, passable);
    b.add_object("Box", Shape::kBox, {}, 1, 0.0F, 0.0F, 4.0F, {3.0F, 2.5F, 0.5F});
    Rasterizer rasterizer;
    Picture p(100, 100);
    p.draw(rasterizer, *Scene::build(b.house), level_camera());
    CHECK(p.ids[p.at(50, 50)] == (passable ? 1 : 0));
    CHECK(p.depth[p.at(50, 50)] == doctest::Approx(passable ? 5.25F : 3.5F));
    // The hole is 50 * 0.5 / 3.5 = 7.14 px to either side: columns 43 to 56 and no more.
    for (int x = 0; x < 100; ++x) {
      const bool in_hole = passable && x >= 43 && x <= 56;
      CHECK((p.ids[p.at(x, 50)] == 1) == in_hole);
    }
  }
}

TEST_CASE("rasterizer: an open door's leaf hides what lies behind it") {
  fixtures::HouseBuilder b;
  b.add_room("A", {{-2, -2}, {2, -2}, {2, 2}, {-2, 2}}, {});
  b.add_room("B", {{-2, 2}, {2, 2}, {2, 6}, {-2, 6}}, {});
  b.add_opening(sim::OpeningKind::kDoor, 2, 4, 1.5F, 2.5F, 0.0F, 2.0F, true);
  // A board across the way, half a metre behind the hole.
  b.house.openings.back().leaves = {{{-0.5F, 2.5F}, {0.5F, 2.5F}}};
  b.add_object("Box", Shape::kBox, {}, 1, 0.0F, 0.0F, 4.0F, {3.0F, 2.5F, 0.5F});
  Rasterizer rasterizer;
  Picture p(100, 100);
  p.draw(rasterizer, *Scene::build(b.house), level_camera());
  CHECK(p.ids[p.at(50, 50)] == 0);
  CHECK(p.depth[p.at(50, 50)] == doctest::Approx(4.0F).epsilon(0.01));  // 2.5 - 0.02 + 1.5
}

// Where surfaces of two rooms meet along an edge both lie at the same depth, and which of the two
// takes a pixel whose centre is within 1/256 pixel of the edge is rounding: a culled room's surface
// cannot. Such pixels are told by their equal depth; there are a few in a million.
TEST_CASE("rasterizer: culling by portals changes no pixel") {
  const sim::House house = fixtures::three_rooms();
  const auto scene = Scene::build(house);
  Rasterizer culled;
  Rasterizer complete;
  complete.set_culling(false);
  Picture a(84, 48);
  Picture b(84, 48);
  int on_edges = 0;
  constexpr int kPoses = 1000;
  for (std::uint64_t i = 0; i < kPoses; ++i) {
    const Camera camera = random_pose_in(house, i);
    a.draw(culled, *scene, camera, materials(i % 3));
    b.draw(complete, *scene, camera, materials(i % 3));
    REQUIRE_MESSAGE(a.ids == b.ids, "pose " << i);
    for (std::size_t k = 0; k < a.depth.size(); ++k) {
      if (a.depth[k] != b.depth[k]) {
        REQUIRE_MESSAGE(a.depth[k] == doctest::Approx(b.depth[k]).epsilon(0.005), "pose " << i);
        ++on_edges;
      } else {
        for (std::size_t c = 3 * k; c < 3 * k + 3; ++c) REQUIRE(a.rgb[c] == b.rgb[c]);
      }
    }
  }
  CHECK(on_edges <= kPoses * 84 * 48 / 100000);
}

TEST_CASE("rasterizer: inside a closed room every pixel shows something of the room") {
  const auto scene = Scene::build(fixtures::empty_room());
  Rasterizer rasterizer;
  Picture p(160, 90);
  for (std::uint64_t i = 0; i < 200; ++i) {
    const Camera camera = random_camera(i, {-1.9F, -1.9F}, {1.9F, 1.9F});
    p.draw(rasterizer, *scene, camera);
    for (const float depth : p.depth) {
      REQUIRE(depth > 0.0F);
      REQUIRE(depth < 7.0F);  // the room's diagonal is 6.2 m
    }
  }
}

TEST_CASE("rasterizer: count_pixels is the histogram of the ids, with or without an ids plane") {
  const sim::House house = fixtures::three_rooms();
  const auto scene = Scene::build(house);
  std::vector<std::int32_t> objects(house.objects.size());
  std::iota(objects.begin(), objects.end(), 0);
  std::vector<std::int32_t> counts(objects.size());
  Rasterizer rasterizer;
  Picture p(84, 48);
  for (std::uint64_t i = 0; i < 50; ++i) {
    const Camera camera = random_camera(i, {0.2F, 0.2F}, {8.8F, 7.8F});
    p.draw(rasterizer, *scene, camera);
    rasterizer.draw(*scene, {}, camera, {84, 48, nullptr, nullptr, nullptr});
    rasterizer.count_pixels(objects, counts);
    for (std::size_t k = 0; k < objects.size(); ++k) {
      CHECK(counts[k] == std::count(p.ids.begin(), p.ids.end(), static_cast<std::uint16_t>(k + 1)));
    }
  }
}

TEST_CASE("rasterizer: the eye inside objects and on their surfaces is drawn without harm") {
  const sim::House house = fixtures::three_rooms();
  const auto scene = Scene::build(house);
  Rasterizer rasterizer;
  Picture p(84, 48);
  for (const sim::Object& object : house.objects) {
    for (const float lift : {0.0F, 0.25F, 0.5F}) {
      for (const float yaw : {0.0F, 45.0F, 200.0F}) {
        Camera camera;
        camera.position = object.center + Vec3{0.0F, lift * object.size.y, 0.5F * object.size.z};
        camera.yaw_deg = yaw;
        camera.pitch_deg = 20.0F;
        p.draw(rasterizer, *scene, camera);
        for (const float depth : p.depth) REQUIRE(std::isfinite(depth));
      }
    }
  }
}

TEST_CASE("rasterizer: from above the house, with no ceilings in the way, all objects are seen") {
  const sim::House house = fixtures::three_rooms();
  Rasterizer rasterizer;
  Picture p(384, 384);
  Camera camera;
  camera.position = {4.5F, 12.0F, 4.0F};
  camera.pitch_deg = 90.0F;
  p.draw(rasterizer, *Scene::build(house), camera);
  for (std::size_t k = 0; k < house.objects.size(); ++k) {
    if (house.objects[k].on_wall) continue;
    CHECK_MESSAGE(std::count(p.ids.begin(), p.ids.end(), static_cast<std::uint16_t>(k + 1)) > 0,
                  house.objects[k].id);
  }
}

TEST_CASE("rasterizer: odd sizes, and sizes that change from call to call") {
  const auto scene = Scene::build(fixtures::three_rooms());
  Rasterizer rasterizer;
  const Camera camera = random_camera(3, {1.0F, 1.0F}, {4.0F, 3.0F});
  for (const auto& [w, h] :
       {std::pair{1, 1}, std::pair{7, 5}, std::pair{384, 224}, std::pair{9, 1}, std::pair{2, 63}}) {
    Picture fresh(w, h);
    Picture reused(w, h);
    Rasterizer once;
    fresh.draw(once, *scene, camera);
    reused.draw(rasterizer, *scene, camera);
    CHECK(fresh.hash() == reused.hash());
  }
}

TEST_CASE("rasterizer: what stands on furniture is not drawn inside of it") {
  struct Family {
    sim::Shape shape;
    float top;  // of the surface in the middle, as a fraction of the box
  };
  for (const Family& family :
       {Family{sim::Shape::kBed, 0.12F}, Family{sim::Shape::kBox, 0.5F},
        Family{sim::Shape::kCylinder, 0.5F}, Family{sim::Shape::kTable, 0.5F},
        Family{sim::Shape::kChair, 0.02F}, Family{sim::Shape::kSofa, -0.06F}}) {
    CAPTURE(static_cast<int>(family.shape));
    sim::House house = fixtures::three_rooms();
    house.objects.clear();
    sim::Object stand;
    stand.shape = family.shape;
    stand.center = {2.0F, 0.5F, 2.5F};
    stand.size = {1.0F, 1.0F, 1.0F};
    stand.rotation_deg.y = 180.0F;  // its front to the camera
    house.objects.push_back(stand);
    sim::Object thing;
    thing.center = stand.center;
    thing.center.x += 0.2F;  // beside the gap between a sofa's cushions
    thing.center.y += family.top + 0.05F;
    thing.size = {0.1F, 0.1F, 0.1F};
    thing.parent = 0;
    house.objects.push_back(thing);
    Camera camera = random_camera(0, {2.0F, 1.2F}, {2.0F, 1.2F});
    camera.position = {2.0F, 1.7F, 1.2F};
    camera.yaw_deg = 0.0F;
    camera.pitch_deg = 35.0F;
    Rasterizer rasterizer;
    const auto seen = [&](float lower, int parent) {
      sim::House changed = house;
      changed.objects[1].center.y -= lower;
      changed.objects[1].parent = parent;
      Picture picture(384, 224);
      picture.draw(rasterizer, *Scene::build(changed), camera);
      return std::pair(picture.count(2), picture.hash());
    };
    CHECK(seen(0.0F, 0).first > 100);
    CHECK(seen(0.0F, 0).second == seen(0.0F, -1).second);  // it stands where it is drawn anyway
    CHECK(seen(0.15F, 0).first > 100);
    CHECK(seen(0.15F, -1).first == 0);
  }
}

TEST_CASE("rasterizer: golden hashes, the same on every machine and for every history of calls") {
  const auto scene = Scene::build(fixtures::three_rooms());
  Rasterizer rasterizer;
  const auto hash_of_size = [&](int w, int h) {
    std::uint64_t all = 0;
    Picture p(w, h);
    for (std::uint64_t i = 0; i < 24; ++i) {
      p.draw(rasterizer, *scene, random_camera(i, {0.3F, 0.3F}, {8.7F, 7.7F}), materials(i % 2));
      all = mix64(all ^ p.hash());
    }
    return all;
  };
  CHECK(hash_of_size(84, 48) == 1366633900965479106ULL);
  CHECK(hash_of_size(384, 224) == 6012851557574866952ULL);
  CHECK(hash_of_size(84, 48) == 1366633900965479106ULL);
}

TEST_CASE("rasterizer: a material seed recolours walls and floors and nothing else") {
  const auto scene = Scene::build(fixtures::three_rooms());
  Rasterizer rasterizer;
  Picture plain(84, 48);
  Picture varied(84, 48);
  Picture again(84, 48);
  Camera camera;
  camera.position = {0.5F, 1.45F, 0.5F};
  camera.yaw_deg = 55.0F;
  camera.pitch_deg = 20.0F;
  plain.draw(rasterizer, *scene, camera);
  varied.draw(rasterizer, *scene, camera, materials(7));
  again.draw(rasterizer, *scene, camera, materials(7));
  CHECK(varied.rgb == again.rgb);
  CHECK(varied.rgb != plain.rgb);
  CHECK(varied.ids == plain.ids);
  CHECK(varied.depth == plain.depth);
  for (std::size_t i = 0; i < plain.ids.size(); ++i) {
    if (plain.ids[i] == 0) continue;
    CHECK(varied.rgb[3 * i] == plain.rgb[3 * i]);
  }
}

}  // namespace
}  // namespace flare::render
