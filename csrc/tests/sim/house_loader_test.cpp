#include "sim/house_loader.hpp"

#include <doctest/doctest.h>

#include <string>

#include "core/error.hpp"
#include "sim/object_reader.hpp"

namespace flare::sim {
namespace {

const AssetLibrary& library() {
  static const auto instance = AssetLibrary::from_json(R"({
    "categories": [
      {"type": "Apple", "shape": "sphere", "size": [0.1, 0.12, 0.1], "pickupable": true,
       "assets": {"Apple_1": [0.09, 0.1, 0.08]}},
      {"type": "Painting", "shape": "panel", "size": [0.8, 0.6, 0.03], "on_wall": true,
       "assets": {"Wall_Decor_Painting_1": [0.5, 0.4, 0.02]}},
      {"type": "Table", "shape": "table", "size": [1.2, 0.8, 0.6],
       "assets": {"Table_1": [1.0, 0.8, 0.5]}},
      {"type": "Vase", "shape": "cone", "size": [0.2, 0.4, 0.2]}]})");
  return *instance;
}

// Two rooms of 2 m x 3 m side by side: a to the west of x = 2, b to the east. The shared boundary
// runs north in a's wall and south in b's, so a hole must be mirrored between them.
constexpr const char* kTwoRooms = R"({
  "rooms": [
    {"id": "a", "roomType": "Kitchen", "floorMaterial": {"name": "DarkWood"}, "floorPolygon": [
      {"x": 0, "y": 0, "z": 0}, {"x": 0, "y": 0, "z": 3}, {"x": 2, "y": 0, "z": 3},
      {"x": 2, "y": 0, "z": 0}]},
    {"id": "b", "roomType": "Bedroom", "floorPolygon": [
      {"x": 2, "y": 0, "z": 0}, {"x": 4, "y": 0, "z": 0}, {"x": 4, "y": 0, "z": 3},
      {"x": 2, "y": 0, "z": 3}]}],
  "walls": [
    {"id": "wa", "roomId": "a", "material": {"name": "P", "color": {"r": 0.25, "g": 0.5, "b": 1}},
     "polygon": [{"x": 2, "y": 0, "z": 0}, {"x": 2, "y": 0, "z": 3}, {"x": 2, "y": 2.8, "z": 0},
                 {"x": 2, "y": 2.8, "z": 3}]},
    {"id": "wb", "roomId": "b", "material": {"name": "P"},
     "polygon": [{"x": 2, "y": 0, "z": 3}, {"x": 2, "y": 2.6, "z": 3}, {"x": 2, "y": 2.6, "z": 0},
                 {"x": 2, "y": 0, "z": 0}]},
    {"id": "wall|exterior|0.00|0.00|0.00|3.00", "roomId": "a", "material": {"name": "P"},
     "polygon": [{"x": 0, "y": 2.8, "z": 3}, {"x": 0, "y": 2.8, "z": 0}, {"x": 0, "y": 0, "z": 3},
                 {"x": 0, "y": 0, "z": 0}], "empty": true}],
  "doors": [
    {"id": "door|a|b", "assetId": "Doorway_1", "room0": "a", "room1": "b", "wall0": "wa",
     "wall1": "wb", "holePolygon": [{"x": 0.5, "y": 0, "z": 0}, {"x": 1.5, "y": 2.1, "z": 0}],
     "assetPosition": {"x": 1, "y": 1.05, "z": 0}, "openable": true, "openness": 1}],
  "windows": [
    {"id": "window|a", "assetId": "Window_1", "room0": "a", "room1": "a", "wall0": "wa",
     "wall1": "wb", "holePolygon": [{"x": 2.75, "y": 1.5, "z": 0}, {"x": 2, "y": 1, "z": 0}]}],
  "objects": [
    {"id": "0|0", "assetId": "Table_1", "position": {"x": 1, "y": 0.4, "z": 1},
     "rotation": {"x": 0, "y": 90, "z": 0}, "kinematic": true, "children": [
       {"id": "small|0|1", "assetId": "Apple_1", "position": {"x": 1, "y": 0.85, "z": 1},
        "rotation": {"x": 0, "y": 0, "z": 0}, "kinematic": false}]},
    {"id": "ObjaVase|b|7", "assetId": "0123456789abcdef0123456789abcdef", "kinematic": false,
     "position": {"x": 3, "y": 0.3, "z": 2}, "rotation": {"x": 0, "y": 0, "z": 0}},
    {"id": "0|3", "assetId": "Wall_Decor_Painting_1", "kinematic": true,
     "position": {"x": 1, "y": 1.6, "z": 2.99}, "rotation": {"x": 0, "y": 180, "z": 0}},
    {"id": "PicnicTable|b|1", "assetId": "unheard_of", "kinematic": true,
     "position": {"x": 9, "y": 0.4, "z": 9}, "rotation": {"x": 0, "y": 0, "z": 0}}],
  "proceduralParameters": {},
  "metadata": {"schema": "1.0.0", "agent": {"position": {"x": 1, "y": 0.95, "z": 2.5},
               "rotation": {"x": 0, "y": 270, "z": 0}, "horizon": 30, "standing": true}}})";

House load(const std::string& json) { return load_house(json, "test", library()); }

/// kTwoRooms with the first occurrence of `from` replaced.
std::string edited(const std::string& from, const std::string& to) {
  std::string json = kTwoRooms;
  const auto at = json.find(from);
  REQUIRE(at != std::string::npos);
  return json.replace(at, from.size(), to);
}

std::string message_of(const std::string& json) {
  try {
    load(json);
  } catch (const HouseFormatError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("rooms, bounds, ceilings and the agent's start") {
  const House house = load(kTwoRooms);
  REQUIRE(house.rooms.size() == 2);
  CHECK(house.source == "test");
  CHECK(house.rooms[1].type == "Bedroom");
  CHECK(house.rooms[0].polygon[2].x == 2.0F);
  CHECK(house.rooms[0].ceiling_y == 2.8F);
  CHECK(house.rooms[1].ceiling_y == 2.6F);
  CHECK(house.bounds.min.x == 0.0F);
  CHECK(house.bounds.max.x == 4.0F);
  CHECK(house.bounds.max.z == 3.0F);
  CHECK(house.start.position.z == 2.5F);
  CHECK(house.start.yaw_deg == -90.0F);
}

TEST_CASE("a wall's floor points are taken in listed order, whatever the corner order") {
  const House house = load(kTwoRooms);
  CHECK(house.walls[0].p0.z == 0.0F);  // ProcTHOR: floor points first
  CHECK(house.walls[0].p1.z == 3.0F);
  CHECK(house.walls[1].p0.z == 3.0F);  // Holodeck: round the rectangle
  CHECK(house.walls[1].p1.z == 0.0F);
  CHECK(house.walls[2].p0.z == 3.0F);  // exterior twin: upper points first
  CHECK(house.walls[2].room == -1);
  CHECK(house.walls[2].empty);
  CHECK(house.walls[0].color.b == 1.0F);
  CHECK(house.walls[1].room == 1);
}

TEST_CASE("holes are measured along wall0 and mirrored onto wall1") {
  const House house = load(kTwoRooms);
  const Opening& door = house.openings[0];
  CHECK(door.kind == OpeningKind::kDoor);
  CHECK(door.passable);
  const Span own = hole_on_wall(house, door, door.wall0);
  CHECK(own.x0 == doctest::Approx(0.5));
  CHECK(own.x1 == doctest::Approx(1.5));
  const Span other = hole_on_wall(house, door, door.wall1);  // z = 3 - x there
  CHECK(other.x0 == doctest::Approx(1.5));
  CHECK(other.x1 == doctest::Approx(2.5));
  const Opening& window = house.openings[1];
  CHECK(window.kind == OpeningKind::kWindow);
  CHECK_FALSE(window.passable);
  CHECK(window.x0 == 2.0F);  // corners in either order
  CHECK(window.y1 == 1.5F);
}

TEST_CASE("doors are passable when open or without a leaf, between two rooms") {
  CHECK_FALSE(load(edited("\"openness\": 1", "\"openness\": 0")).openings[0].passable);
  CHECK(load(edited(", \"openable\": true, \"openness\": 1", "")).openings[0].passable);
  CHECK_FALSE(load(edited("\"room1\": \"b\"", "\"room1\": \"a\"")).openings[0].passable);
  const House to_outside = load(edited("\"room0\": \"a\"", "\"room0\": \"exterior\""));
  CHECK(to_outside.openings[0].room0 == 1);
  CHECK_FALSE(to_outside.openings[0].passable);
}

TEST_CASE("an open door's leaf stands in room1, turned about the beginning of the hole") {
  // The hole is z 0.5 to 1.5 of x = 2, the frame takes 0.05 m at each side, room b lies east.
  const auto leaves = [](const std::string& json) { return load(json).openings[0].leaves; };
  const auto wide_open = leaves(kTwoRooms);
  REQUIRE(wide_open.size() == 1);
  CHECK(wide_open[0].hinge.x == doctest::Approx(2.0));
  CHECK(wide_open[0].hinge.z == doctest::Approx(0.55));
  CHECK(wide_open[0].tip.x == doctest::Approx(2.9));
  CHECK(wide_open[0].tip.z == doctest::Approx(0.55));
  const auto ajar = leaves(edited("\"openness\": 1", "\"openness\": 0.5"));
  CHECK(ajar[0].tip.x == doctest::Approx(2.0 + 0.9 * 0.70710678));
  CHECK(ajar[0].tip.z == doctest::Approx(0.55 + 0.9 * 0.70710678));
  const auto into_a =
      leaves(edited("\"room0\": \"a\", \"room1\": \"b\"", "\"room0\": \"b\", \"room1\": \"a\""));
  CHECK(into_a[0].tip.x == doctest::Approx(1.1));
  const auto doubled = leaves(edited("\"x\": 1.5, \"y\": 2.1", "\"x\": 2.5, \"y\": 2.1"));
  REQUIRE(doubled.size() == 2);
  CHECK(doubled[0].hinge.z == doctest::Approx(0.55));
  CHECK(doubled[1].hinge.z == doctest::Approx(2.45));
  CHECK(doubled[0].tip.x == doctest::Approx(2.95));
  CHECK(leaves(edited("\"openness\": 1", "\"openness\": 0")).empty());
  CHECK(leaves(edited(", \"openable\": true, \"openness\": 1", "")).empty());
}

TEST_CASE("objects: sizes, kinds, rooms and parents") {
  const House house = load(kTwoRooms);
  REQUIRE(house.objects.size() == 5);
  const Object& table = house.objects[0];
  CHECK(table.type == "Table");
  CHECK(table.size.x == 1.0F);
  CHECK(table.rotation_deg.y == 90.0F);
  CHECK(table.kinematic);
  CHECK_FALSE(table.on_wall);
  const Object& apple = house.objects[1];
  CHECK(apple.parent == 0);
  CHECK(apple.category == 0);
  CHECK(apple.pickupable);
  CHECK(apple.room == 0);
  const Object& painting = house.objects[3];
  CHECK(painting.on_wall);
  CHECK(painting.parent == -1);
  CHECK(house.objects[4].room == -1);  // outside every room
}

TEST_CASE("an Objaverse asset on the floor is scaled to twice its centre height") {
  const Object vase = load(kTwoRooms).objects[2];
  CHECK(vase.type == "Vase");
  CHECK(vase.category == 3);
  CHECK(vase.room == 1);
  CHECK(vase.size.y == doctest::Approx(0.6));  // 2 x 0.3, default 0.4
  CHECK(vase.size.x == doctest::Approx(0.2));  // taller is not wider
}

TEST_CASE("a guessed footprint is cut back to fit between its centre and the wall") {
  // 5 cm from the east wall of room b at x = 4: the vase's 0.2 m across become 0.1 m; its depth
  // along the wall stays.
  const Object vase = load(edited("{\"x\": 3, \"y\": 0.3", "{\"x\": 3.95, \"y\": 0.3")).objects[2];
  CHECK(vase.size.x == doctest::Approx(0.1));
  CHECK(vase.size.z == doctest::Approx(0.2));
}

TEST_CASE("an asset of the pack has its true box, however near the wall, and the pack's flag") {
  const auto with_pack = [](const char* asset) {
    return AssetLibrary::from_json(
        R"({"categories": [{"type": "Vase", "shape": "cone", "size": [0.2, 0.4, 0.2]}]})",
        std::string(R"({"assets": {"0123456789abcdef0123456789abcdef": )") + asset + "}}");
  };
  const std::string near_wall = edited("{\"x\": 3, \"y\": 0.3", "{\"x\": 3.95, \"y\": 0.3");
  const auto vases = with_pack(R"({"type": "", "size": [0.3, 0.5, 0.25], "pickupable": true})");
  const Object vase = load_house(near_wall, "test", *vases).objects[2];
  CHECK(vase.type == "Vase");  // its id's, as the pack knows none
  CHECK(vase.size.x == doctest::Approx(0.3));
  CHECK(vase.size.y == doctest::Approx(0.5));
  CHECK(vase.size.z == doctest::Approx(0.25));
  CHECK(vase.pickupable);  // the type is not

  // An id that names no known type: the pack's.
  const std::string holodeck = edited("ObjaVase|b|7", "ornament-0 (bedroom)");
  const auto known = with_pack(R"({"type": "Vase", "size": [1, 1, 1], "pickupable": false})");
  CHECK(load_house(holodeck, "test", *known).objects[2].type == "Vase");
  CHECK(load_house(holodeck, "test", *vases).objects[2].type == "Ornament");
}

TEST_CASE("an unknown kind takes the looks of its last word and keeps its name") {
  const Object table = load(kTwoRooms).objects[4];
  CHECK(table.type == "PicnicTable");
  CHECK(table.category == -1);
  CHECK(table.shape == Shape::kTable);
}

TEST_CASE("types from names") {
  CHECK(type_from_names("ObjaApple|surface|3|12", "0123") == "Apple");
  CHECK(type_from_names("2|0", "Side_Table_203_1") == "SideTable");
  CHECK(type_from_names("small|2|4", "Fridge_23") == "Fridge");
  CHECK(type_from_names("sectional_sofa-0 (living room)", "0123") == "SectionalSofa");
  CHECK(type_from_names("50 inch tv-0", "0123") == "50InchTv");
  CHECK(type_from_names("", "") == "Unknown");
}

TEST_CASE("the hash ignores white space between tokens only") {
  const std::uint64_t hash = load(kTwoRooms).hash;
  CHECK(load(edited("\"id\": \"a\"", "\"id\":\n\t\"a\"")).hash == hash);
  CHECK(load(edited("Kitchen", "Kit chen")).hash != hash);
}

TEST_CASE("schema 0.0.1: plain material names and a hole's bounding box") {
  std::string json = edited("\"schema\": \"1.0.0\", ", "");
  const auto replace = [&json](const std::string& from, const std::string& to) {
    json.replace(json.find(from), from.size(), to);
  };
  replace("\"material\": {\"name\": \"P\", \"color\": {\"r\": 0.25, \"g\": 0.5, \"b\": 1}}",
          "\"material\": \"P\", \"color\": {\"r\": 0.25, \"g\": 0.5, \"b\": 1}");
  replace("\"holePolygon\": [{\"x\": 0.5, \"y\": 0, \"z\": 0}, {\"x\": 1.5, \"y\": 2.1, \"z\": 0}]",
          "\"boundingBox\": {\"min\": {\"x\": 0.5, \"y\": 0, \"z\": 0}, "
          "\"max\": {\"x\": 1.5, \"y\": 2.1, \"z\": 0}}");
  const House house = load(json);
  CHECK(house.walls[0].color.r == 0.25F);
  CHECK(house.openings[0].x1 == 1.5F);
}

TEST_CASE("a house without an agent starts inside its first room") {
  const House house = load(edited("\"agent\"", "\"nobody\""));
  CHECK(house.start.position.x == doctest::Approx(1.0));
  CHECK(house.start.position.z == doctest::Approx(1.5));
}

TEST_CASE("every complaint names file, key path, fault and mend") {
  CHECK(message_of("{") ==
        "test: byte 2: not JSON from here on; check that the file was written completely");
  CHECK(message_of("[]") ==
        "test: document: is array, not an object; write a JSON object {...} "
        "here");
  CHECK(message_of(R"({"rooms": [], "walls": []})") ==
        "test: rooms: is empty; a house needs at least one room");
  CHECK(message_of(R"({"walls": []})") == "test: document: has no key 'rooms'; add 'rooms'");
  CHECK(message_of(edited("1.0.0", "2.0.0")) ==
        "test: metadata.schema: version '2.0.0' is not known; convert the house to schema 1.0.0");
  CHECK(message_of(edited("\"roomId\": \"b\"", "\"roomId\": \"c\"")) ==
        "test: walls[1].roomId: 'c' is not in rooms; use an id that rooms defines");
  CHECK(message_of(edited("\"wall1\": \"wb\"", "\"wall1\": \"wc\"")) ==
        "test: doors[0].wall1: 'wc' is not in walls; use an id that walls defines");
  CHECK(message_of(edited("\"id\": \"b\"", "\"id\": \"a\"")) ==
        "test: rooms[1].id: 'a' occurs twice; give every entry its own id");
  CHECK(message_of(edited("small|0|1", "0|0")) ==
        "test: objects[0].children[0].id: '0|0' occurs twice; give every object its own id");
  CHECK(message_of(edited("{\"x\": 1, \"y\": 0.4", "{\"x\": 1e9, \"y\": 0.4")) ==
        "test: objects[0].position.x: is 1000000000.0, outside -1000.0 to 1000.0; check the unit "
        "(metres, degrees) and the value");
  CHECK(message_of(edited("{\"x\": 1, \"y\": 0.4", "{\"x\": \"1\", \"y\": 0.4")) ==
        "test: objects[0].position.x: is string, not a number; write a plain number");
  CHECK(message_of(edited("{\"x\": 1, \"y\": 0.4", "{\"x\": NaN, \"y\": 0.4")).find("not JSON") !=
        std::string::npos);
  CHECK(message_of(edited("{\"x\": 1, \"y\": 0.4", "{\"x\": 1e999, \"y\": 0.4"))
            .find("too large for a 64-bit float") != std::string::npos);
  CHECK(message_of(edited("{\"x\": 2, \"y\": 2.8, \"z\": 0}", "{\"x\": 2, \"y\": 0, \"z\": 0}")) ==
        "test: walls[0].polygon: is no upright rectangle; give two floor points and two above "
        "them");
  CHECK(message_of(edited("{\"x\": 0.5, \"y\": 0", "{\"x\": -0.5, \"y\": 0"))
            .find("test: doors[0]: its hole spans -0.5") == 0);
}

// A coordinate of 1000 m is in range by itself; one such corner made grids of gigabytes.
TEST_CASE("a house is no wider than 200 m") {
  CHECK(message_of(edited("{\"x\": 4, \"y\": 0, \"z\": 3}", "{\"x\": 900, \"y\": 0, \"z\": 3}")) ==
        "test: document: its rooms and walls span 900.000000 by 3.000000 m, more than 200.000000; "
        "check the unit (metres) of the outermost points");
}

TEST_CASE("a room needs three corners and an area, a wall four") {
  CHECK(message_of(R"({"walls": [], "rooms": [{"id": "a", "roomType": "K", "floorPolygon": [
                       {"x": 0, "z": 0}, {"x": 1, "z": 0}]}]})") ==
        "test: rooms[0].floorPolygon: has 2 points; list at least 3 corners");
  CHECK(message_of(R"({"walls": [], "rooms": [{"id": "a", "roomType": "K", "floorPolygon": [
                       {"x": 0, "z": 0}, {"x": 1, "z": 0}, {"x": 2, "z": 0}]}]})") ==
        "test: rooms[0].floorPolygon: encloses no area; list the corners in order round the room");
  CHECK(message_of(edited("{\"x\": 2, \"y\": 0, \"z\": 0}, {\"x\": 2, \"y\": 0, \"z\": 3}, {\"x\": "
                          "2, \"y\": 2.8, \"z\": 0},\n                 ",
                          "")) ==
        "test: walls[0].polygon: has 1 points; a wall is a rectangle of 4");
}

TEST_CASE("children may not nest without end") {
  std::string object = R"({"id": "x", "assetId": "Apple_1", "position": {"x": 1, "y": 1, "z": 1}})";
  for (int depth = 0; depth < 20; ++depth) {
    object = R"({"id": "o)" + std::to_string(depth) +
             R"(", "assetId": "Apple_1", "position": {"x": 1, "y": 1, "z": 1}, "children": [)" +
             object + "]}";
  }
  CHECK(message_of(R"({"walls": [], "rooms": [{"id": "a", "roomType": "K", "floorPolygon": [
                       {"x": 0, "z": 0}, {"x": 1, "z": 0}, {"x": 2, "z": 2}]}], "objects": [)" +
                   object + "]}")
            .find("children nest deeper than 16") != std::string::npos);
}

}  // namespace
}  // namespace flare::sim
