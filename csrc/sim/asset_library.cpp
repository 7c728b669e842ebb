#include "sim/asset_library.hpp"

#include <array>

#include "sim/json_node.hpp"
#include "sim/palette.hpp"

namespace flare::sim {
namespace {

constexpr std::array<std::string_view, 16> kShapeNames = {
    "box",   "cylinder", "sphere", "cone",   "table", "chair", "bed",    "sofa",
    "shelf", "plant",    "toilet", "screen", "lamp",  "bowl",  "bottle", "panel"};
static_assert(kShapeNames.size() == static_cast<std::size_t>(Shape::kPanel) + 1);

constexpr double kLargestSize = 20.0;  // m; no object of a house is larger

Shape read_shape(const JsonNode& node) {
  for (std::size_t i = 0; i < kShapeNames.size(); ++i) {
    if (node.string() == kShapeNames[i]) return static_cast<Shape>(i);
  }
  node.fail("'" + node.string() + "' is no shape family", "use a name of sim::Shape, e.g. 'box'");
}

Vec3 read_triple(const JsonNode& node, double highest) {
  if (node.array_size() != 3) node.fail("needs 3 numbers", "write [x, y, z]");
  const auto at = [&](std::size_t i) { return node.element(i).number(0.0, highest); };
  return {at(0), at(1), at(2)};
}

Category read_category(const JsonNode& node) {
  Category category;
  category.type = node.field("type").string();
  category.shape = read_shape(node.field("shape"));
  category.size = read_triple(node.field("size"), kLargestSize);
  category.color = color_of_type(category.type);
  if (const auto color = node.find("color")) {
    const Vec3 rgb = read_triple(*color, 1.0);
    category.color = {rgb.x, rgb.y, rgb.z};
  }
  const auto flag = [&](const char* key) {
    const auto found = node.find(key);
    return found && found->boolean();
  };
  category.pickupable = flag("pickupable");
  category.on_wall = flag("on_wall");
  return category;
}

}  // namespace

std::shared_ptr<const AssetLibrary> AssetLibrary::from_json(std::string_view json,
                                                            std::string_view pack_table) {
  const std::string source = "asset library";
  const nlohmann::json document = parse_json(json, source);
  const JsonNode root(document, source);
  auto library = std::make_shared<AssetLibrary>();

  const JsonNode categories = root.field("categories");
  for (std::size_t i = 0; i < categories.array_size(); ++i) {
    const JsonNode node = categories.element(i);
    Category category = read_category(node);
    const int index = static_cast<int>(i);
    if (!library->category_of_type_.emplace(category.type, index).second) {
      node.fail("type '" + category.type + "' occurs twice", "keep one of them");
    }
    if (const auto assets = node.find("assets")) {
      assets->require_object();
      for (const auto& [asset_id, unused] : assets->json().items()) {
        const JsonNode size = assets->field(asset_id.c_str());
        library->assets_.insert_or_assign(asset_id, Asset{read_triple(size, kLargestSize), index});
      }
    }
    library->categories_.push_back(std::move(category));
  }

  if (const auto synonyms = root.find("synonyms")) {
    synonyms->require_object();
    for (const auto& [name, unused] : synonyms->json().items()) {
      const JsonNode type = synonyms->field(name.c_str());
      const int index = library->find_category(type.string());
      if (index < 0) type.fail("'" + type.string() + "' is no known type", "add its category");
      library->category_of_type_.emplace(name, index);
    }
  }
  if (!pack_table.empty()) library->add_packed(pack_table);
  return library;
}

void AssetLibrary::add_packed(std::string_view pack_table) {
  const std::string source = "asset table";
  const nlohmann::json document = parse_json(pack_table, source);
  const JsonNode root(document, source);
  const JsonNode assets = root.field("assets");
  assets.require_object();
  packed_.reserve(assets.json().size());
  for (const auto& [asset_id, unused] : assets.json().items()) {
    const JsonNode node = assets.field(asset_id.c_str());
    const int category = find_category(node.field("type").string());
    const bool pickupable = node.field("pickupable").boolean();
    packed_.emplace(
        asset_id, PackedAsset{read_triple(node.field("size"), kLargestSize), category, pickupable});
  }
}

int AssetLibrary::find_category(std::string_view type) const {
  constexpr std::string_view kObjaverse = "Obja";
  if (const auto found = category_of_type_.find(std::string(type));
      found != category_of_type_.end()) {
    return found->second;
  }
  if (type.substr(0, kObjaverse.size()) != kObjaverse) return -1;
  const auto found = category_of_type_.find(std::string(type.substr(kObjaverse.size())));
  return found == category_of_type_.end() ? -1 : found->second;
}

const Vec3* AssetLibrary::find_size(const std::string& asset_id) const {
  if (const auto found = assets_.find(asset_id); found != assets_.end()) return &found->second.size;
  const PackedAsset* const packed = find_packed(asset_id);
  return packed == nullptr ? nullptr : &packed->size;
}

const PackedAsset* AssetLibrary::find_packed(const std::string& asset_id) const {
  const auto found = packed_.find(asset_id);
  return found == packed_.end() ? nullptr : &found->second;
}

int AssetLibrary::find_asset_category(const std::string& asset_id) const {
  const auto found = assets_.find(asset_id);
  return found == assets_.end() ? -1 : found->second.category;
}

}  // namespace flare::sim
