// Textured meshes of an asset pack in a drawn image.
#include <doctest/doctest.h>

#include <array>

#include "tests/fixtures/houses.hpp"
#include "tests/render/pack_file.hpp"
#include "tests/render/picture.hpp"

namespace flare::render {
namespace {

const char* const kFile = "asset_pass_test.pack";

/// 90 degrees, so that 100 x 100 pixels have a focal length of 50 px.
Camera level_camera() {
  Camera camera;
  camera.position = {0.0F, 1.0F, -1.5F};
  camera.vertical_fov_deg = 90.0F;
  return camera;
}

/// The asset 2 m ahead of the camera, in a box of the given size.
sim::House room_with_asset(const char* asset_id, Vec3 size, float yaw_deg = 0.0F) {
  fixtures::HouseBuilder b;
  b.house = fixtures::empty_room();
  b.add_object("Thing", sim::Shape::kSphere, {0.8F, 0.2F, 0.2F}, 0, 0.0F, 1.0F - 0.5F * size.y,
               0.5F, size, yaw_deg);
  b.house.objects[0].asset_id = asset_id;
  return std::move(b.house);
}

std::shared_ptr<const AssetPack> pack_with(const PackedAsset& asset) {
  const TemporaryFile file(kFile, pack_of({asset}));
  return AssetPack::open(file.path());  // the mapping outlives the file's name
}

/// Which of the three channels are bright.
int brightest(const Picture& p, int x, int y) {
  int bits = 0;
  for (std::size_t c = 0; c < 3; ++c) bits |= p.rgb[3 * p.at(x, y) + c] > 127 ? 1 << c : 0;
  return bits;
}

TEST_CASE("asset: a textured square covers the pixels and shows the texels worked out by hand") {
  // 1 m wide at 2 m: 25 px, columns 37.5 to 62.5; scaled to twice its height 50 px, rows 25 to 75.
  const auto scene = Scene::build(room_with_asset("square", {1.0F, 2.0F, 0.01F}),
                                  pack_with(square_asset("square")));
  Rasterizer rasterizer;
  Picture p(100, 100);
  p.draw(rasterizer, *scene, level_camera());
  for (int y = 0; y < 100; ++y) {
    for (int x = 0; x < 100; ++x) {
      const bool inside = x >= 37 && x <= 61 && y >= 25 && y <= 74;
      REQUIRE((p.ids[p.at(x, y)] == 1) == inside);
      if (!inside) continue;
      const bool is_right = x >= 50;
      const int expected = y >= 50 ? (is_right ? 2 : 1) : (is_right ? 7 : 4);
      REQUIRE(brightest(p, x, y) == expected);
    }
  }
  CHECK(p.depth[p.at(50, 50)] == doctest::Approx(2.0F));
  CHECK(scene->num_triangles() == Scene::build(fixtures::empty_room())->num_triangles() + 2);
}

TEST_CASE("asset: an object that the pack does not have keeps its proxy") {
  const auto pack = pack_with(square_asset("square"));
  const sim::House house = room_with_asset("another", {1.0F, 1.0F, 1.0F});
  Rasterizer rasterizer;
  Picture with(84, 48);
  Picture without(84, 48);
  with.draw(rasterizer, *Scene::build(house, pack), level_camera());
  without.draw(rasterizer, *Scene::build(house), level_camera());
  CHECK(with.hash() == without.hash());
}

TEST_CASE("asset: seen from behind only if it is double-sided") {
  for (const std::uint32_t flags : {0U, kDoubleSided}) {
    PackedAsset asset = square_asset("square");
    asset.flags = flags;
    const auto scene =
        Scene::build(room_with_asset("square", {1.0F, 1.0F, 0.01F}, 180.0F), pack_with(asset));
    Rasterizer rasterizer;
    Picture p(100, 100);
    p.draw(rasterizer, *scene, level_camera());
    CHECK((p.count(1) > 0) == (flags == kDoubleSided));
    if (flags == kDoubleSided) CHECK(brightest(p, 55, 55) == 1);  // mirrored: red is on the right
  }
}

TEST_CASE("asset: moved and turned it looks like one that is at home there") {
  PackedAsset asset = square_asset("square");
  asset.flags = kDoubleSided;
  const auto pack = pack_with(asset);
  Rasterizer rasterizer;
  Picture moved(100, 100);
  Picture home(100, 100);
  const MovedObject move = {0, {0.0F, 1.0F, 0.5F}, 30.0F};
  SceneVariation variation;
  variation.moved = {&move, 1};
  sim::House elsewhere = room_with_asset("square", {1.0F, 1.0F, 0.01F}, 75.0F);
  elsewhere.objects[0].center = {1.0F, 0.5F, 1.0F};
  moved.draw(rasterizer, *Scene::build(elsewhere, pack), level_camera(), variation);
  home.draw(rasterizer, *Scene::build(room_with_asset("square", {1.0F, 1.0F, 0.01F}, 30.0F), pack),
            level_camera());
  CHECK(home.count(1) > 300);
  long different = 0;
  for (std::size_t i = 0; i < home.ids.size(); ++i) {
    different += home.ids[i] != moved.ids[i] ? 1 : 0;
    for (std::size_t c = 3 * i; c < 3 * i + 3; ++c) {
      different += std::abs(home.rgb[c] - moved.rgb[c]) > 2 ? 1 : 0;
    }
  }
  CHECK(different <= 4);  // texels whose border runs through a pixel's centre
}

TEST_CASE("asset: coarse levels far away, fine ones near") {
  // The coarse level is half as wide. Its error of 2.75 cm is 0.69 px at 2 m with 100 x 100 pixels,
  // 0.72 with 104 x 104.
  PackedAsset asset = square_asset("square");
  asset.errors = {0.0275F, 0.0F};
  asset.coarse_scale = 0.5F;
  const auto scene = Scene::build(room_with_asset("square", {1.0F, 1.0F, 0.01F}), pack_with(asset));
  Rasterizer rasterizer;
  Picture small(100, 100);
  Picture large(104, 104);
  small.draw(rasterizer, *scene, level_camera());
  large.draw(rasterizer, *scene, level_camera());
  CHECK(small.count(1) == doctest::Approx(12.5 * 12.5).epsilon(0.15));
  CHECK(large.count(1) == 26 * 26);
}

TEST_CASE("asset: far away the mean of the texture is seen, whatever lies at the centre") {
  PackedAsset asset = square_asset("square");
  asset.width = asset.height = 4;
  asset.texels.assign(16, 0);
  asset.texels.insert(asset.texels.end(), {0x404040, 0x404040, 0x404040, 0x404040, 0x808080});
  const auto scene = Scene::build(room_with_asset("square", {0.1F, 0.1F, 0.01F}), pack_with(asset));
  Rasterizer rasterizer;
  Picture p(40, 40);  // the square is 1 px wide, 16 texels of the finest level
  Camera camera = level_camera();
  camera.position.x = 0.025F;  // a pixel's centre on it
  camera.position.y = 1.025F;
  p.draw(rasterizer, *scene, camera);
  REQUIRE(p.count(1) == 1);
  const auto at =
      static_cast<std::size_t>(std::find(p.ids.begin(), p.ids.end(), 1) - p.ids.begin());
  CHECK(p.rgb[3 * at] > 64);
}

TEST_CASE("asset: any pose and size is drawn without harm, the same with and without culling") {
  PackedAsset asset = square_asset("square");
  asset.flags = kDoubleSided;
  asset.vertices[2][2] = 0.4F;  // not flat
  asset.size.z = 1.0F;
  const auto pack = pack_with(asset);
  sim::House house = fixtures::three_rooms();
  for (std::size_t i = 0; i < house.objects.size(); i += 2) house.objects[i].asset_id = "square";
  const auto scene = Scene::build(house, pack);
  Rasterizer culled;
  Rasterizer complete;
  complete.set_culling(false);
  Picture a(84, 48);
  Picture b(84, 48);
  for (std::uint64_t i = 0; i < 200; ++i) {
    const Camera camera = random_camera(i, {0.3F, 0.3F}, {8.7F, 3.7F});
    a.draw(culled, *scene, camera);
    b.draw(complete, *scene, camera);
    REQUIRE_MESSAGE(a.ids == b.ids, "pose " << i);
    for (const float depth : a.depth) REQUIRE(std::isfinite(depth));
  }
}

TEST_CASE("asset: golden hash, the same on every machine") {
  PackedAsset asset = square_asset("square");
  asset.vertices[2][2] = 0.4F;
  asset.size.z = 1.0F;
  asset.flags = kDoubleSided;
  sim::House house = fixtures::three_rooms();
  for (sim::Object& object : house.objects) object.asset_id = "square";
  const auto scene = Scene::build(house, pack_with(asset));
  Rasterizer rasterizer;
  std::uint64_t all = 0;
  Picture p(84, 48);
  for (std::uint64_t i = 0; i < 24; ++i) {
    p.draw(rasterizer, *scene, random_camera(i, {0.3F, 0.3F}, {8.7F, 7.7F}));
    all = mix64(all ^ p.hash());
  }
  CHECK(all == 1860351206215934283ULL);
}

}  // namespace
}  // namespace flare::render
