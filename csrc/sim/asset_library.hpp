// What is known of object kinds without their meshes: box sizes of AI2-THOR's built-in assets, and
// per type a default size, shape family and colour. Data lives in flare/assets/library.json. Assets
// of a pack (flare assets build) add their own sizes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sim/house.hpp"

namespace flare::sim {

struct Category {
  std::string type;  // "Apple"
  Shape shape = Shape::kBox;
  Color color;  // centre of the hue range of the type
  Vec3 size;    // m, median of the known assets
  bool pickupable = false;
  bool on_wall = false;
};

/// An asset whose mesh was measured, by the table beside a pack.
struct PackedAsset {
  Vec3 size;          // m
  int category = -1;  // -1: the pack does not know its type
  bool pickupable = false;
};

class AssetLibrary {
 public:
  /// @param json        text of flare/assets/library.json
  /// @param pack_table  text of the table beside an asset pack, empty without one
  /// Throws HouseFormatError naming key and mend.
  static std::shared_ptr<const AssetLibrary> from_json(std::string_view json,
                                                       std::string_view pack_table = {});

  [[nodiscard]] const std::vector<Category>& categories() const { return categories_; }
  /// Index of a type, -1 if unknown. Accepts "Apple", "ObjaApple" and the listed synonyms
  /// ("ObjaTrashCan" is a GarbageCan).
  [[nodiscard]] int find_category(std::string_view type) const;
  /// Box size of an asset, built-in or of the pack; nullptr if unknown.
  [[nodiscard]] const Vec3* find_size(const std::string& asset_id) const;
  /// Index of a built-in asset's type, -1 if the asset is unknown.
  [[nodiscard]] int find_asset_category(const std::string& asset_id) const;
  /// An asset of the pack, nullptr if it has none of that id.
  [[nodiscard]] const PackedAsset* find_packed(const std::string& asset_id) const;

 private:
  void add_packed(std::string_view pack_table);

  struct Asset {
    Vec3 size;
    int category;
  };

  std::vector<Category> categories_;
  std::unordered_map<std::string, int> category_of_type_;  // synonyms included
  std::unordered_map<std::string, Asset> assets_;
  std::unordered_map<std::string, PackedAsset> packed_;
};

}  // namespace flare::sim
