#include "render/asset_mesh.hpp"

#include <doctest/doctest.h>

#include <functional>

#include "core/error.hpp"
#include "core/rng.hpp"
#include "tests/render/pack_file.hpp"

namespace flare::render {
namespace {

const char* const kFile = "asset_mesh_test.pack";

/// What opening the bytes and loading every asset says, "" if nothing is wrong.
std::string complaint(const Bytes& bytes) {
  const TemporaryFile file(kFile, bytes);
  try {
    const auto pack = AssetPack::open(file.path());
    for (std::size_t i = 0; i < pack->num_assets(); ++i) (void)pack->load(i);
  } catch (const HouseFormatError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("asset pack: crc32 is zlib's") {
  const std::string text = "123456789";
  CHECK(crc32(std::as_bytes(std::span<const char>(text))) == 0xCBF43926U);
  const auto bytes = std::as_bytes(std::span<const char>(text));
  CHECK(crc32(bytes.subspan(4), crc32(bytes.first(4))) == 0xCBF43926U);
  CHECK(crc32({}) == 0U);
}

TEST_CASE("asset pack: assets are found by name and read as they were written") {
  PackedAsset chair = square_asset("chair");
  chair.errors = {0.1F, 0.0F};
  PackedAsset vase = square_asset("vase");
  vase.flags = kDoubleSided;
  vase.size = {1.0F, 1.0F, 2.0F};
  const TemporaryFile file(kFile, pack_of({square_asset("armchair"), chair, vase}));
  const auto pack = AssetPack::open(file.path());
  REQUIRE(pack->num_assets() == 3);
  CHECK(pack->find("armchair") == 0);
  CHECK(pack->find("chair") == 1);
  CHECK(pack->find("vase") == 2);
  for (const char* absent : {"", "a", "chai", "chairs", "zebra"}) CHECK(pack->find(absent) == -1);
  CHECK(pack->name(1) == "chair");
  CHECK(pack->size(2).z == 2.0F);

  const AssetMesh mesh = pack->load(1);
  CHECK(mesh.content_hash == 2);
  CHECK_FALSE(mesh.is_double_sided);
  CHECK(pack->load(2).is_double_sided);
  REQUIRE(mesh.lods.size() == 2);
  CHECK(mesh.lods[0].error == 0.1F);
  const AssetLod& lod = mesh.lods[1];
  REQUIRE(lod.x.size() == 8);
  CHECK(lod.x[2] == 0.5F);
  CHECK(lod.x[7] == lod.x[3]);
  CHECK(lod.v[1] == 1.0F);
  CHECK(lod.normals[2] == -127);
  CHECK(lod.indices[4] == 2);
  REQUIRE(mesh.texture.num_levels == 2);
  CHECK(mesh.texture.levels[0].texels[3] == 0xFFFFFF);
  CHECK(mesh.texture.levels[0].width_mask == 1);
  CHECK(mesh.texture.levels[1].texels[0] == 0x7F7F7F);
}

TEST_CASE("asset pack: an empty one and one that is not there") {
  CHECK(complaint(pack_of({})).empty());
  CHECK_THROWS_WITH_AS((void)AssetPack::open("/nowhere/a.pack"),
                       "/nowhere/a.pack: cannot be read as a file; check the path",
                       HouseFormatError);
  CHECK_THROWS_AS((void)AssetPack::open("/"), HouseFormatError);
}

TEST_CASE("asset pack: every cut and every changed byte is refused") {
  const Bytes good = pack_of({square_asset("a"), square_asset("b")});
  REQUIRE(complaint(good).empty());
  for (std::size_t size = 0; size < good.size(); size += 7) {
    CHECK_FALSE(
        complaint(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))).empty());
  }
  Bytes longer = good;
  longer.push_back(0);
  CHECK(complaint(longer).find("file_size") != std::string::npos);
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] = static_cast<char>(bad[i] ^ static_cast<char>(1U + mix64(i) % 255U));
    accepted += complaint(bad).empty() ? 1 : 0;
  }
  // The header's reserved word and the gaps between payloads are nobody's.
  CHECK(accepted <= 4 + 2 * (kPackAlignment - 1));
}

// Checksums that fit do not make the numbers right: each is checked on its own.
TEST_CASE("asset pack: numbers out of range are named") {
  struct Case {
    const char* expected;
    std::function<void(PackedAsset&)> damage;
  };
  const std::vector<Case> cases = {
      {"does not exist", [](PackedAsset& a) { a.indices[3] = 8; }},
      {"outside of the box", [](PackedAsset& a) { a.vertices[0][0] = 0.7F; }},
      {"outside of the box", [](PackedAsset& a) { a.vertices[0][1] = 0.0F / 0.0F; }},
      {"texture coordinate", [](PackedAsset& a) { a.vertices[0][3] = 17.0F; }},
      {"texture coordinate", [](PackedAsset& a) { a.vertices[3][4] = 1.0F / 0.0F; }},
      {"power of two", [](PackedAsset& a) { a.width = 3; }},
      {"power of two", [](PackedAsset& a) { a.width = 0; }},
      {"power of two", [](PackedAsset& a) { a.height = 2048; }},
      {"beyond its end", [](PackedAsset& a) { a.height = 1024; }},
      {"0x00BBGGRR", [](PackedAsset& a) { a.texels[1] = 0x1000000; }},
      {"size", [](PackedAsset& a) { a.size.x = 0.0F; }},
      {"size", [](PackedAsset& a) { a.size.y = 21.0F; }},
      {"size", [](PackedAsset& a) { a.size.z = 0.0F / 0.0F; }},
      {"error", [](PackedAsset& a) { a.errors = {-1.0F}; }},
      {"coarse to fine", [](PackedAsset& a) { a.errors = {0.0F, 0.1F}; }},
      {"levels", [](PackedAsset& a) { a.errors.assign(9, 0.0F); }},
      {"levels", [](PackedAsset& a) { a.errors.clear(); }},
      {"name", [](PackedAsset& a) { a.name.clear(); }},
  };
  for (const Case& c : cases) {
    PackedAsset asset = square_asset("a");
    c.damage(asset);
    const std::string text = complaint(pack_of({asset}));
    CHECK_MESSAGE(text.find(c.expected) != std::string::npos, c.expected << " in: " << text);
    CHECK(text.find(kFile) == 0);
    CHECK(text.find("; build the asset pack again") != std::string::npos);
  }
  CHECK(complaint(pack_of({square_asset("b"), square_asset("a")})).find("in order") !=
        std::string::npos);
  CHECK(complaint(pack_of({square_asset("a"), square_asset("a")})).find("each once") !=
        std::string::npos);
}

}  // namespace
}  // namespace flare::render
