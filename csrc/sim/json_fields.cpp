#include "sim/json_fields.hpp"

#include "sim/palette.hpp"

namespace flare::sim {
namespace {

Color read_rgb(const JsonNode& node) {
  const auto channel = [&](const char* key) { return node.field(key).number(0.0, 1.0); };
  return {channel("r"), channel("g"), channel("b")};
}

}  // namespace

Vec3 read_position(const JsonNode& node) {
  const auto coordinate = [&](const char* key) {
    return node.field(key).number(-kFarthest, kFarthest);
  };
  Vec3 position{coordinate("x"), 0.0F, coordinate("z")};
  if (const auto y = node.find("y")) position.y = y->number(-kFarthest, kFarthest);
  return position;
}

Vec3 read_rotation(const JsonNode& node) {
  const auto angle = [&](const char* key) {
    const auto found = node.find(key);
    return found ? found->number(-36000.0, 36000.0) : 0.0F;
  };
  node.require_object();
  return {angle("x"), angle("y"), angle("z")};
}

Color read_material(const JsonNode& owner, const char* material_key) {
  const auto material = owner.find(material_key);
  if (!material) return Color{};
  if (material->is_string()) {
    const auto color = owner.find("color");
    return color ? read_rgb(*color) : color_of_material(material->string());
  }
  if (const auto color = material->find("color")) return read_rgb(*color);
  const auto name = material->find("name");
  return name ? color_of_material(name->string()) : Color{};
}

}  // namespace flare::sim
