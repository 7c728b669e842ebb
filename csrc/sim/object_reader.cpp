#include "sim/object_reader.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_set>

#include "sim/json_fields.hpp"
#include "sim/palette.hpp"
#include "sim/polygon.hpp"

namespace flare::sim {
namespace {

constexpr int kDeepestNesting = 16;  // receptacles in receptacles; real houses have 2
constexpr Vec3 kUnknownSize{0.2F, 0.2F, 0.2F};
constexpr float kRoomMargin = 0.5F;   // m outside every room that still count as the nearest
constexpr float kMountedGap = 0.3F;   // m of air below a top-level object: it hangs on a wall
constexpr float kLeastScale = 0.25F;  // of a type's default height, for an Objaverse asset
constexpr float kGreatestScale = 4.0F;
constexpr float kGreatestSpread = 1.0F;  // a tall one of its kind is seldom wider too
constexpr float kSmallestShare = 0.2F;   // of a footprint that is cut back to fit its room

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// "wall_shelf" and "wall shelf" -> "WallShelf"; a name without gaps keeps its inner capitals.
std::string pascal_case(std::string_view words) {
  std::string name;
  bool capital = true;
  for (const char c : words) {
    if (c == '_' || c == ' ') {
      capital = true;
    } else {
      name += capital && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
      capital = false;
    }
  }
  return name;
}

/// Everything before the first '|', " (" or trailing "-3" / "_3" / "_3_1".
std::string_view stem(std::string_view name) {
  name = name.substr(0, name.find('|'));
  name = name.substr(0, name.find(" ("));
  while (!name.empty() && name.back() >= '0' && name.back() <= '9') {
    const auto first_digit = name.find_last_not_of("0123456789");
    if (first_digit == std::string_view::npos) return {};
    if (name[first_digit] != '-' && name[first_digit] != '_') break;
    name = name.substr(0, first_digit);
  }
  return name;
}

/// Looks of a kind that the library lacks: those of its last word ("PicnicTable" -> Table) if that
/// is known, else a shape and colour made from the name.
Category unknown_category(const std::string& type, const AssetLibrary& library) {
  const auto word = type.find_last_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  if (word != std::string::npos && word > 0) {
    const int known = library.find_category(std::string_view(type).substr(word));
    if (known >= 0) return library.categories()[static_cast<std::size_t>(known)];
  }
  constexpr std::array kShapes = {Shape::kBox, Shape::kCylinder, Shape::kSphere, Shape::kCone,
                                  Shape::kBottle};
  Category category;
  category.type = type;
  category.shape = kShapes[hash_text(type) % kShapes.size()];
  category.color = color_of_type(type);
  category.size = kUnknownSize;
  return category;
}

/// Cuts a footprint that was only guessed back to what the room's walls leave: a thing that stands
/// against a wall has its centre half its depth away from it.
Vec3 fit_into_room(const Object& object, const std::vector<Vec2>& polygon) {
  const Vec2 center{object.center.x, object.center.z};
  const Vec2 own_z = heading(object.rotation_deg.y);
  const Vec2 own_x{own_z.z, -own_z.x};
  float share_x = 1.0F;
  float share_z = 1.0F;
  for (std::size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    const Vec2 edge = polygon[i] - polygon[j];
    const float edge_length = length(edge);
    const float along = dot(center - polygon[j], edge);
    if (edge_length <= 0.0F || along < 0.0F || along > edge_length * edge_length) continue;
    const Vec2 normal = Vec2{edge.z, -edge.x} * (1.0F / edge_length);
    const float reach_x = 0.5F * object.size.x * std::abs(dot(normal, own_x));
    const float reach_z = 0.5F * object.size.z * std::abs(dot(normal, own_z));
    const float room = std::abs(dot(center - polygon[j], normal));
    if (reach_x + reach_z <= room) continue;
    const float share = room / (reach_x + reach_z);
    if (reach_x > 0.1F * reach_z) share_x = std::min(share_x, share);
    if (reach_z > 0.1F * reach_x) share_z = std::min(share_z, share);
  }
  return {object.size.x * std::max(share_x, kSmallestShare), object.size.y,
          object.size.z * std::max(share_z, kSmallestShare)};
}

class ObjectReader {
 public:
  ObjectReader(const AssetLibrary& library, House& house) : library_(library), house_(house) {}

  void read(const JsonNode& node, int parent, int depth) {
    if (depth > kDeepestNesting) {
      node.fail("children nest deeper than " + std::to_string(kDeepestNesting),
                "put the objects on fewer levels");
    }
    for (std::size_t i = 0; i < node.array_size(); ++i) {
      const JsonNode entry = node.element(i);
      const int index = static_cast<int>(house_.objects.size());
      house_.objects.push_back(read_one(entry, parent));
      if (const auto children = entry.find("children")) read(*children, index, depth + 1);
    }
  }

 private:
  Object read_one(const JsonNode& node, int parent) {
    Object object;
    const JsonNode id = node.field("id");
    object.id = id.string();
    if (!ids_.insert(object.id).second) {
      id.fail("'" + object.id + "' occurs twice", "give every object its own id");
    }
    object.asset_id = node.field("assetId").string();
    object.parent = parent;
    object.center = read_position(node.field("position"));
    if (const auto rotation = node.find("rotation")) object.rotation_deg = read_rotation(*rotation);
    if (const auto kinematic = node.find("kinematic")) object.kinematic = kinematic->boolean();
    set_kind(node, object);
    object.room = find_room(house_.rooms, {object.center.x, object.center.z}, kRoomMargin);
    const bool guessed = library_.find_size(object.asset_id) == nullptr;
    if (guessed && object.room >= 0 && !object.on_wall) {
      const auto room = static_cast<std::size_t>(object.room);
      object.size = fit_into_room(object, house_.rooms[room].polygon);
    }
    return object;
  }

  void set_kind(const JsonNode& node, Object& object) const {
    const PackedAsset* const packed = library_.find_packed(object.asset_id);
    object.category = library_.find_asset_category(object.asset_id);
    if (object.category < 0) {
      object.type = type_from_names(object.id, object.asset_id);
      if (const auto type = node.find("objectType"); type && type->string() != "Undefined") {
        object.type = type_from_names(type->string(), type->string());
      }
      object.category = library_.find_category(object.type);
      if (object.category < 0 && packed != nullptr) object.category = packed->category;
    }
    const Category category = object.category >= 0
                                  ? library_.categories()[static_cast<std::size_t>(object.category)]
                                  : unknown_category(object.type, library_);
    if (object.category >= 0) object.type = category.type;
    object.shape = category.shape;
    object.color = vary_color(category.color, object.asset_id);
    object.pickupable = packed != nullptr ? packed->pickupable : category.pickupable;
    const Vec3* size = library_.find_size(object.asset_id);
    object.size = size != nullptr ? *size : size_from_height(category, object);
    const bool hangs = object.center.y - 0.5F * object.size.y > kMountedGap;
    object.on_wall = object.parent < 0 && hangs && (category.on_wall || object.kinematic);
  }

  /// An Objaverse mesh was scaled to its own size, which the house does not tell; what it rests on
  /// does: the centre of a thing on the floor is half its height up. Otherwise the type's default.
  [[nodiscard]] Vec3 size_from_height(const Category& category, const Object& object) const {
    float base = 0.0F;
    if (object.parent >= 0) {
      const Object& below = house_.objects[static_cast<std::size_t>(object.parent)];
      base = below.center.y + 0.5F * below.size.y;
    } else if (category.on_wall) {
      return category.size;
    }
    const float height = 2.0F * (object.center.y - base);
    const float scale = category.size.y > 0.0F ? height / category.size.y : 1.0F;
    if (scale < kLeastScale || scale > kGreatestScale) return category.size;
    const float spread = std::min(scale, kGreatestSpread);
    return {category.size.x * spread, category.size.y * scale, category.size.z * spread};
  }

  const AssetLibrary& library_;
  House& house_;
  std::unordered_set<std::string> ids_;
};

}  // namespace

std::string type_from_names(std::string_view object_id, std::string_view asset_id) {
  constexpr std::string_view kObjaverse = "Obja";
  std::string_view name = stem(object_id);
  // ProcTHOR's own ids are "2|0" (room 2, object 0) and "small|2|4": the asset tells more.
  if (name.empty() || !(is_letter(name.front()) || name.find(' ') != std::string_view::npos) ||
      name == "small" || name == "surface" || name == "room") {
    name = stem(asset_id);
  }
  if (name.substr(0, kObjaverse.size()) == kObjaverse) name.remove_prefix(kObjaverse.size());
  const std::string type = pascal_case(name);
  return type.empty() ? "Unknown" : type;
}

void read_objects(const JsonNode& node, const AssetLibrary& library, House& house) {
  ObjectReader(library, house).read(node, -1, 0);
}

}  // namespace flare::sim
