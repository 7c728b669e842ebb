#include "sim/house_loader.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "sim/door_leaf.hpp"
#include "sim/json_fields.hpp"
#include "sim/json_node.hpp"
#include "sim/object_reader.hpp"
#include "sim/palette.hpp"
#include "sim/polygon.hpp"

namespace flare::sim {
namespace {

constexpr float kShortestWall = 0.01F;  // m
constexpr float kWidest = 200.0F;       // m, of a house; its grids take memory by the area
constexpr float kOutside = 0.05F;       // m that a hole may stick out of its wall by rounding

/// Names given once, looked up later.
class Ids {
 public:
  void add(const JsonNode& id, std::size_t index) {
    if (!index_.emplace(id.string(), static_cast<int>(index)).second) {
      id.fail("'" + id.string() + "' occurs twice", "give every entry its own id");
    }
  }
  [[nodiscard]] int find(const JsonNode& reference, const char* where) const {
    const auto found = index_.find(reference.string());
    if (found == index_.end()) {
      reference.fail("'" + reference.string() + "' is not in " + where,
                     std::string("use an id that ") + where + " defines");
    }
    return found->second;
  }

 private:
  std::unordered_map<std::string, int> index_;
};

/// Hash of the document's text without the white space between its tokens.
std::uint64_t hash_document(std::string_view json) {
  std::uint64_t hash = hash_text("");
  bool in_string = false;
  std::size_t start = 0;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
      hash = hash_text(json.substr(start, i - start), hash);
      start = i + 1;
    }
  }
  return hash_text(json.substr(start), hash);
}

class HouseReader {
 public:
  HouseReader(const JsonNode& root, const AssetLibrary& library) : root_(root), library_(library) {}

  House read() {
    read_schema();
    read_rooms();
    read_walls();
    read_openings("doors", OpeningKind::kDoor);
    read_openings("windows", OpeningKind::kWindow);
    if (const auto objects = root_.find("objects")) read_objects(*objects, library_, house_);
    set_ceilings_and_bounds();
    read_start();
    return std::move(house_);
  }

 private:
  void read_schema() {
    const auto metadata = root_.find("metadata");
    const auto schema = metadata ? metadata->find("schema") : std::nullopt;
    legacy_ = !schema || schema->string() == "0.0.1";
    if (schema && !legacy_ && schema->string() != "1.0.0") {
      schema->fail("version '" + schema->string() + "' is not known",
                   "convert the house to schema 1.0.0");
    }
  }

  void read_rooms() {
    const JsonNode rooms = root_.field("rooms");
    if (rooms.array_size() == 0) rooms.fail("is empty", "a house needs at least one room");
    for (std::size_t i = 0; i < rooms.array_size(); ++i) {
      const JsonNode node = rooms.element(i);
      Room room;
      const JsonNode id = node.field("id");
      room_ids_.add(id, i);
      room.id = id.string();
      room.type = node.field("roomType").string();
      const JsonNode polygon = node.field("floorPolygon");
      if (polygon.array_size() < 3) {
        polygon.fail("has " + std::to_string(polygon.array_size()) + " points",
                     "list at least 3 corners");
      }
      for (std::size_t k = 0; k < polygon.array_size(); ++k) {
        const Vec3 corner = read_position(polygon.element(k));
        room.polygon.push_back({corner.x, corner.z});
      }
      if (std::abs(twice_signed_area(room.polygon)) < 1e-3F) {
        polygon.fail("encloses no area", "list the corners in order round the room");
      }
      room.floor = read_material(node, "floorMaterial");
      house_.rooms.push_back(std::move(room));
    }
  }

  void read_walls() {
    const JsonNode walls = root_.field("walls");
    for (std::size_t i = 0; i < walls.array_size(); ++i) {
      const JsonNode node = walls.element(i);
      const JsonNode id = node.field("id");
      wall_ids_.add(id, i);
      house_.walls.push_back(read_wall(node, id.string()));
    }
  }

  Wall read_wall(const JsonNode& node, const std::string& id) const {
    Wall wall;
    wall.id = id;
    const JsonNode room_id = node.field("roomId");
    const bool outer_side =
        id.find("exterior") != std::string::npos || room_id.string() == "exterior";
    wall.room = outer_side ? -1 : room_ids_.find(room_id, "rooms");
    const JsonNode polygon = node.field("polygon");
    if (polygon.array_size() != 4) {
      polygon.fail("has " + std::to_string(polygon.array_size()) + " points",
                   "a wall is a rectangle of 4");
    }
    std::vector<Vec3> corners;
    for (std::size_t k = 0; k < 4; ++k) corners.push_back(read_position(polygon.element(k)));
    set_wall_geometry(polygon, corners, wall);
    wall.color = read_material(node, "material");
    if (const auto empty = node.find("empty")) wall.empty = empty->boolean();
    return wall;
  }

  /// Which corners are on the floor depends on who wrote the file; only their order counts.
  static void set_wall_geometry(const JsonNode& polygon, const std::vector<Vec3>& corners,
                                Wall& wall) {
    const auto by_height = [](const Vec3& a, const Vec3& b) { return a.y < b.y; };
    const auto [lowest, highest] = std::minmax_element(corners.begin(), corners.end(), by_height);
    wall.y0 = lowest->y;
    wall.y1 = highest->y;
    const float middle = 0.5F * (wall.y0 + wall.y1);
    std::vector<Vec2> floor;
    for (const Vec3& corner : corners) {
      if (corner.y < middle) floor.push_back({corner.x, corner.z});
    }
    if (floor.size() != 2 || wall.y1 - wall.y0 < kShortestWall) {
      polygon.fail("is no upright rectangle", "give two floor points and two above them");
    }
    wall.p0 = floor[0];
    wall.p1 = floor[1];
    if (length(wall.p1 - wall.p0) < kShortestWall) {
      polygon.fail("is shorter than 1 cm", "give the floor points apart from each other");
    }
  }

  void read_openings(const char* key, OpeningKind kind) {
    const auto openings = root_.find(key);
    if (!openings) return;
    for (std::size_t i = 0; i < openings->array_size(); ++i) {
      const JsonNode node = openings->element(i);
      Opening opening;
      const JsonNode id = node.field("id");
      opening_ids_.add(id, house_.openings.size());
      opening.id = id.string();
      opening.kind = kind;
      opening.room0 = read_room_reference(node.field("room0"));
      opening.room1 = read_room_reference(node.field("room1"));
      opening.wall0 = wall_ids_.find(node.field("wall0"), "walls");
      opening.wall1 = wall_ids_.find(node.field("wall1"), "walls");
      read_hole(node, opening);
      if (opening.room0 < 0) opening.room0 = opening.room1;
      if (opening.room1 < 0) opening.room1 = opening.room0;
      const float openness = read_openness(node);
      opening.passable =
          kind == OpeningKind::kDoor && opening.room0 != opening.room1 && openness > 0.0F;
      if (opening.passable && node.find("openness")) {
        opening.leaves = open_leaves(house_, opening, openness);
      }
      house_.openings.push_back(std::move(opening));
    }
  }

  int read_room_reference(const JsonNode& node) const {
    return node.string() == "exterior" ? -1 : room_ids_.find(node, "rooms");
  }

  /// A frame has no leaf, hence no openness.
  static float read_openness(const JsonNode& node) {
    const auto openness = node.find("openness");
    return openness ? static_cast<float>(openness->number(0.0, 1.0)) : 1.0F;
  }

  void read_hole(const JsonNode& node, Opening& opening) const {
    Vec3 low;
    Vec3 high;
    if (legacy_ && !node.find("holePolygon")) {
      const JsonNode box = node.field("boundingBox");
      low = read_hole_corner(box.field("min"));
      high = read_hole_corner(box.field("max"));
    } else {
      const JsonNode hole = node.field("holePolygon");
      if (hole.array_size() < 2) hole.fail("needs 2 points", "write [min, max] of the hole");
      low = read_hole_corner(hole.element(0));
      high = read_hole_corner(hole.element(1));
    }
    std::tie(opening.x0, opening.x1) = std::minmax({low.x, high.x});
    std::tie(opening.y0, opening.y1) = std::minmax({low.y, high.y});
    check_hole(node, opening);
  }

  static Vec3 read_hole_corner(const JsonNode& node) {
    const auto at = [&](const char* key) { return node.field(key).number(-kFarthest, kFarthest); };
    return {at("x"), at("y"), 0.0F};
  }

  void check_hole(const JsonNode& node, const Opening& opening) const {
    const Wall& wall = house_.walls[static_cast<std::size_t>(opening.wall0)];
    const float wall_length = length(wall.p1 - wall.p0);
    if (opening.x0 < -kOutside || opening.x1 > wall_length + kOutside) {
      node.fail("its hole spans " + std::to_string(opening.x0) + " to " +
                    std::to_string(opening.x1) + " m of a wall of " + std::to_string(wall_length) +
                    " m",
                "measure x along wall0 from its first floor point");
    }
    if (opening.x1 - opening.x0 <= 0.0F || opening.y1 - opening.y0 <= 0.0F) {
      node.fail("its hole has no area", "give two different corners");
    }
  }

  void set_ceilings_and_bounds() {
    std::vector<float> highest(house_.rooms.size(), 0.0F);
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    Bounds bounds{{kInfinity, kInfinity}, {-kInfinity, -kInfinity}};
    const auto include = [&](Vec2 p) {
      bounds.min = {std::min(bounds.min.x, p.x), std::min(bounds.min.z, p.z)};
      bounds.max = {std::max(bounds.max.x, p.x), std::max(bounds.max.z, p.z)};
    };
    for (const Wall& wall : house_.walls) {
      include(wall.p0);
      include(wall.p1);
      if (wall.room < 0) continue;
      float& top = highest[static_cast<std::size_t>(wall.room)];
      top = std::max(top, wall.y1);
    }
    for (std::size_t i = 0; i < house_.rooms.size(); ++i) {
      if (highest[i] > 0.0F) house_.rooms[i].ceiling_y = highest[i];
      for (const Vec2 corner : house_.rooms[i].polygon) include(corner);
    }
    const Vec2 span = bounds.max - bounds.min;
    if (span.x > kWidest || span.z > kWidest) {
      root_.fail("its rooms and walls span " + std::to_string(span.x) + " by " +
                     std::to_string(span.z) + " m, more than " + std::to_string(kWidest),
                 "check the unit (metres) of the outermost points");
    }
    house_.bounds = bounds;
  }

  /// The first that is there of metadata.agent and metadata.agentPoses.{stretch, default}; a house
  /// without any starts at its first room's corner-average, for whoever only wants to look at it.
  void read_start() {
    if (const auto metadata = root_.find("metadata")) {
      if (const auto agent = metadata->find("agent")) return read_pose(*agent);
      if (const auto poses = metadata->find("agentPoses")) {
        for (const char* mode : {"stretch", "default"}) {
          if (const auto pose = poses->find(mode)) return read_pose(*pose);
        }
      }
    }
    Vec2 sum;
    for (const Vec2 corner : house_.rooms[0].polygon) sum = sum + corner;
    const Vec2 mean = sum * (1.0F / static_cast<float>(house_.rooms[0].polygon.size()));
    house_.start.position = {mean.x, 0.0F, mean.z};
  }

  void read_pose(const JsonNode& node) {
    house_.start.position = read_position(node.field("position"));
    if (const auto rotation = node.find("rotation")) {
      house_.start.yaw_deg = wrap_degrees(read_rotation(*rotation).y);
    }
  }

  const JsonNode& root_;
  const AssetLibrary& library_;
  bool legacy_ = false;
  Ids room_ids_, wall_ids_, opening_ids_;
  House house_;
};

}  // namespace

House load_house(std::string_view json, const std::string& source, const AssetLibrary& library) {
  const nlohmann::json document = parse_json(json, source);
  const JsonNode root(document, source);
  House house = HouseReader(root, library).read();
  house.source = source;
  house.hash = hash_document(json);
  return house;
}

Span hole_on_wall(const House& house, const Opening& opening, int wall) {
  const Wall& own = house.walls[static_cast<std::size_t>(opening.wall0)];
  const Wall& seen = house.walls[static_cast<std::size_t>(wall)];
  const Vec2 along = (own.p1 - own.p0) * (1.0F / length(own.p1 - own.p0));
  const float seen_length = length(seen.p1 - seen.p0);
  const Vec2 seen_along = (seen.p1 - seen.p0) * (1.0F / seen_length);
  const auto project = [&](float x) {
    return std::clamp(dot(own.p0 + along * x - seen.p0, seen_along), 0.0F, seen_length);
  };
  const auto [x0, x1] = std::minmax({project(opening.x0), project(opening.x1)});
  return {x0, x1};
}

}  // namespace flare::sim
