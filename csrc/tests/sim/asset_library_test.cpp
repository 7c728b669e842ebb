#include "sim/asset_library.hpp"

#include <doctest/doctest.h>

#include "core/error.hpp"

namespace flare::sim {
namespace {

constexpr const char* kLibrary = R"({
  "categories": [
    {"type": "Apple", "shape": "sphere", "color": [0.9, 0.1, 0.1], "size": [0.1, 0.11, 0.1],
     "pickupable": true, "assets": {"Apple_1": [0.09, 0.1, 0.08]}},
    {"type": "GarbageCan", "shape": "cylinder", "size": [0.3, 0.5, 0.3]},
    {"type": "Painting", "shape": "panel", "size": [0.8, 0.6, 0.03], "on_wall": true}],
  "synonyms": {"TrashCan": "GarbageCan"}})";

TEST_CASE("categories keep order, shape, colour, size and flags") {
  const auto library = AssetLibrary::from_json(kLibrary);
  REQUIRE(library->categories().size() == 3);
  const Category& apple = library->categories()[0];
  CHECK(apple.type == "Apple");
  CHECK(apple.shape == Shape::kSphere);
  CHECK(apple.color.r == doctest::Approx(0.9));
  CHECK(apple.size.y == doctest::Approx(0.11));
  CHECK(apple.pickupable);
  CHECK_FALSE(apple.on_wall);
  CHECK(library->categories()[2].on_wall);
}

TEST_CASE("a type is found by its name, its Objaverse name and its synonyms") {
  const auto library = AssetLibrary::from_json(kLibrary);
  CHECK(library->find_category("Apple") == 0);
  CHECK(library->find_category("ObjaApple") == 0);
  CHECK(library->find_category("TrashCan") == 1);
  CHECK(library->find_category("ObjaTrashCan") == 1);
  CHECK(library->find_category("Spaceship") == -1);
  CHECK(library->find_category("") == -1);
}

TEST_CASE("an asset has its own size and its type's category") {
  const auto library = AssetLibrary::from_json(kLibrary);
  REQUIRE(library->find_size("Apple_1") != nullptr);
  CHECK(library->find_size("Apple_1")->z == doctest::Approx(0.08));
  CHECK(library->find_asset_category("Apple_1") == 0);
  CHECK(library->find_size("Apple_2") == nullptr);
  CHECK(library->find_asset_category("Apple_2") == -1);
}

TEST_CASE("assets of a pack have their own size, type and flag") {
  const auto library = AssetLibrary::from_json(kLibrary, R"({"table_crc": 7, "assets": {
    "0a1b": {"type": "ObjaTrashCan", "size": [0.4, 0.7, 0.3], "pickupable": true, "mass": 3},
    "Apple_1": {"type": "", "size": [1, 1, 1], "pickupable": false}}})");
  REQUIRE(library->find_size("0a1b") != nullptr);
  CHECK(library->find_size("0a1b")->y == doctest::Approx(0.7));
  REQUIRE(library->find_packed("0a1b") != nullptr);
  CHECK(library->find_packed("0a1b")->category == 1);
  CHECK(library->find_packed("0a1b")->pickupable);
  CHECK(library->find_asset_category("0a1b") == -1);
  CHECK(library->find_packed("Apple_1")->category == -1);
  CHECK(library->find_size("Apple_1")->x == doctest::Approx(0.09));  // a built-in asset stays
  CHECK(library->find_packed("0a1c") == nullptr);
}

void check_message(const char* json, const char* message, const char* pack_table = "") {
  try {
    AssetLibrary::from_json(json, pack_table);
    FAIL("accepted");
  } catch (const HouseFormatError& error) {
    CHECK(std::string(error.what()) == message);
  }
}

TEST_CASE("a broken library names the key and the mend") {
  check_message("[1",
                "asset library: byte 3: not JSON from here on; check that the file was "
                "written completely");
  check_message("{}", "asset library: document: has no key 'categories'; add 'categories'");
  check_message(R"({"categories": [{"type": "A", "shape": "blob", "size": [1, 1, 1]}]})",
                "asset library: categories[0].shape: 'blob' is no shape family; use a name of "
                "sim::Shape, e.g. 'box'");
  check_message(R"({"categories": [{"type": "A", "shape": "box", "size": [1, -1, 1]}]})",
                "asset library: categories[0].size[1]: is -1, outside 0.0 to 20.0; check the unit "
                "(metres, degrees) and the value");
  check_message(R"({"categories": [], "synonyms": {"Couch": "Sofa"}})",
                "asset library: synonyms.Couch: 'Sofa' is no known type; add its category");
  check_message(kLibrary, "asset table: document: has no key 'assets'; add 'assets'", "{}");
  check_message(kLibrary, "asset table: assets.x.size: needs 3 numbers; write [x, y, z]",
                R"({"assets": {"x": {"type": "", "size": [1], "pickupable": true}}})");
}

}  // namespace
}  // namespace flare::sim
