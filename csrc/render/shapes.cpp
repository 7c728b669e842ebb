#include "render/shapes.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "render/trigonometry.hpp"

namespace flare::render {
namespace {

using sim::Color;
using sim::Shape;

/// Bands of a sphere at each level.
constexpr std::array<int, kNumLevels> kBands = {2, 4, 6, 10};

constexpr Color kWhite = {0.96F, 0.96F, 0.94F};
constexpr Color kBlack = {0.05F, 0.05F, 0.06F};
constexpr Color kWood = {0.45F, 0.31F, 0.20F};
constexpr Color kClay = {0.66F, 0.36F, 0.24F};
constexpr Color kGlow = {1.0F, 0.95F, 0.75F};

/// One body in progress: the tools every family needs.
struct Body {
  MeshBuilder& build;
  const sim::Object& object;
  std::span<const sim::Solid> contents;
  Color color;
  int level;
  int segments;

  /// How much lower a part ends for what stands on it, as a fraction of the box's height.
  [[nodiscard]] float drop(Vec3 low, Vec3 high) const {
    if (contents.empty()) return 0.0F;
    const sim::Solid part = sim::part_of(object, -1, low, high);
    return (part.y1 - sim::top_below(part, object.shape, contents)) / object.size.y;
  }
  [[nodiscard]] bool is_met(Vec3 low, Vec3 high) const {
    const sim::Solid part = sim::part_of(object, -1, low, high);
    return std::any_of(contents.begin(), contents.end(),
                       [&](const sim::Solid& other) { return overlaps(part, other); });
  }
  /// A part that gives way to what stands on it; not drawn where nothing is left of it.
  void box(Vec3 low, Vec3 high, Color paint) const {
    high.y -= drop(low, high);
    if (high.y > low.y) build.box(low, high, paint);
  }

  [[nodiscard]] Color dark(float w = 0.35F) const { return mix(color, kBlack, w); }
  [[nodiscard]] Color pale(float w = 0.45F) const { return mix(color, kWhite, w); }
};

void add_sphere(const Body& b, float low, float high, float radius, Color color) {
  const int bands = kBands[static_cast<std::size_t>(b.level)];
  const float half = 0.5F * (high - low);
  std::vector<Ring> rings;
  for (int i = 0; i <= bands; ++i) {
    const SinCos a = sin_cos_deg(180.0F * static_cast<float>(i) / static_cast<float>(bands));
    const float r = i == 0 || i == bands ? 0.0F : radius * a.sin;
    rings.push_back({low + half * (1.0F - a.cos), r, r});
  }
  b.build.lathe(0.0F, 0.0F, rings, b.segments, color);
}

void add_frustum(const Body& b, Ring low, Ring high, Color color) {
  b.build.lathe(0.0F, 0.0F, std::array<Ring, 2>{low, high}, b.segments, color);
}

void add_legs(const Body& b, float low, float high, float width, Color color) {
  for (const float x : {-0.5F, 0.5F - width}) {
    for (const float z : {-0.5F, 0.5F - width}) {
      b.build.box({x, low, z}, {x + width, high, z + width}, color);
    }
  }
}

void build_box(const Body& b) {
  const float drop = b.drop({-0.5F, -0.5F, -0.5F}, {0.5F, 0.5F, 0.5F});
  b.build.box({-0.5F, -0.5F, -0.5F}, {0.5F, 0.5F - drop, 0.5F}, b.color);
  if (b.level < 2) return;
  constexpr float kFurniture = 0.35F;  // m
  if (b.object.size.y < kFurniture) {  // a lid
    if (drop > 0.0F) return;
    b.build.box({-0.42F, 0.4F, -0.42F}, {0.42F, 0.505F, 0.42F}, b.pale(0.2F));
    return;
  }
  // A plinth, the line between two doors or drawers, and their handles.
  b.build.box({-0.46F, 0.02F, 0.49F}, {0.46F, 0.04F, 0.5005F}, b.dark());
  b.build.box({-0.46F, -0.5F, 0.49F}, {0.46F, -0.44F, 0.5005F}, b.dark());
  if (drop < 0.27F) b.build.box({-0.08F, 0.2F, 0.49F}, {0.08F, 0.23F, 0.505F}, b.pale());
  b.build.box({-0.08F, -0.2F, 0.49F}, {0.08F, -0.17F, 0.505F}, b.pale());
}

void build_table(const Body& b) {
  // The top is thin: it comes down as a whole.
  const float drop = b.drop({-0.5F, -0.4F, -0.5F}, {0.5F, 0.5F, 0.5F});
  b.build.box({-0.5F, 0.40F - drop, -0.5F}, {0.5F, 0.5F - drop, 0.5F}, b.color);
  add_legs(b, -0.5F, 0.40F - drop, 0.09F, b.dark());
}

void build_chair(const Body& b) {
  const float drop = b.drop({-0.5F, -0.4F, -0.38F}, {0.5F, 0.02F, 0.5F});
  b.build.box({-0.5F, -0.08F - drop, -0.5F}, {0.5F, 0.02F - drop, 0.5F}, b.color);
  b.build.box({-0.5F, 0.02F - drop, -0.5F}, {0.5F, 0.5F, -0.38F}, b.pale(0.2F));
  add_legs(b, -0.5F, -0.08F - drop, 0.12F, b.dark());
}

void build_bed(const Body& b) {
  b.build.box({-0.5F, -0.5F, -0.5F}, {0.5F, 0.5F, -0.44F}, kWood);
  // Frame, mattress, blanket and pillows come down together, and nothing lies in a pillow.
  const float drop = b.drop({-0.5F, -0.45F, -0.44F}, {0.5F, 0.12F, 0.5F});
  const float frame = std::max(-0.2F - drop, -0.48F);
  b.build.box({-0.5F, -0.5F, -0.44F}, {0.5F, frame, 0.5F}, mix(kWood, kBlack, 0.2F));
  b.build.box({-0.48F, frame, -0.44F}, {0.48F, 0.08F - drop, 0.49F}, kWhite);
  b.build.box({-0.5F, frame - 0.01F, -0.16F}, {0.5F, 0.12F - drop, 0.5F}, b.color);  // blanket
  for (const float x : {-0.42F, 0.04F}) {
    const Vec3 low = {x, 0.08F - drop, -0.42F};
    const Vec3 high = {x + 0.38F, 0.2F - drop, -0.2F};
    if (!b.is_met(low, high)) b.build.box(low, high, b.pale(0.6F));
  }
}

void build_sofa(const Body& b) {
  b.box({-0.5F, -0.44F, -0.5F}, {0.5F, 0.5F, -0.2F}, b.dark(0.15F));
  b.box({-0.5F, -0.44F, -0.2F}, {-0.38F, 0.16F, 0.5F}, b.dark(0.25F));
  b.box({0.38F, -0.44F, -0.2F}, {0.5F, 0.16F, 0.5F}, b.dark(0.25F));
  b.box({-0.38F, -0.44F, -0.2F}, {-0.005F, -0.06F, 0.48F}, b.color);
  b.box({0.005F, -0.44F, -0.2F}, {0.38F, -0.06F, 0.48F}, b.color);
  b.build.box({-0.5F, -0.5F, -0.5F}, {0.5F, -0.44F, 0.46F}, kBlack);
}

void build_shelf(const Body& b) {
  b.build.box({-0.5F, -0.5F, -0.5F}, {-0.45F, 0.5F, 0.5F}, b.color);
  b.build.box({0.45F, -0.5F, -0.5F}, {0.5F, 0.5F, 0.5F}, b.color);
  b.build.box({-0.45F, -0.5F, -0.5F}, {0.45F, 0.5F, -0.44F}, b.dark(0.5F));
  const int boards = b.level < 2 ? 3 : 5;
  for (int i = 0; i < boards; ++i) {
    const float y = -0.5F + 0.96F * static_cast<float>(i) / static_cast<float>(boards - 1);
    b.box({-0.45F, y, -0.44F}, {0.45F, y + 0.04F, 0.49F}, b.pale(0.15F));
  }
}

void build_plant(const Body& b) {
  add_frustum(b, {-0.5F, 0.22F, 0.22F}, {-0.15F, 0.32F, 0.32F}, kClay);
  add_sphere(b, -0.2F, 0.3F, 0.5F, b.dark(0.3F));
  add_sphere(b, 0.02F, 0.5F, 0.36F, b.color);
}

void build_toilet(const Body& b) {
  b.build.box({-0.42F, -0.1F, -0.5F}, {0.42F, 0.5F, -0.2F}, b.color);  // tank
  b.build.box({-0.46F, 0.44F, -0.5F}, {0.46F, 0.5F, -0.18F}, b.pale(0.7F));
  b.build.lathe(
      0.0F, 0.1F,
      std::array<Ring, 3>{{{-0.5F, 0.25F, 0.22F}, {-0.2F, 0.3F, 0.26F}, {0.0F, 0.5F, 0.4F}}},
      b.segments, b.dark(0.08F));
  b.build.lathe(0.0F, 0.1F, std::array<Ring, 2>{{{0.0F, 0.5F, 0.4F}, {0.04F, 0.48F, 0.38F}}},
                b.segments, b.pale(0.7F));
  b.build.lathe(0.0F, 0.12F, std::array<Ring, 2>{{{0.03F, 0.3F, 0.26F}, {0.045F, 0.28F, 0.24F}}},
                b.segments, b.dark(0.45F));
}

void build_screen(const Body& b) {
  b.build.box({-0.5F, -0.36F, -0.2F}, {0.5F, 0.5F, 0.3F}, mix(b.color, kBlack, 0.8F));
  b.build.box({-0.46F, -0.31F, 0.28F}, {0.46F, 0.45F, 0.34F},
              mix(b.color, {0.1F, 0.2F, 0.42F}, 0.6F));
  b.build.box({-0.06F, -0.46F, -0.15F}, {0.06F, -0.36F, 0.15F}, b.dark(0.6F));
  b.build.box({-0.25F, -0.5F, -0.5F}, {0.25F, -0.46F, 0.5F}, b.dark(0.6F));
}

void build_lamp(const Body& b) {
  add_frustum(b, {-0.5F, 0.3F, 0.3F}, {-0.46F, 0.28F, 0.28F}, b.dark());
  add_frustum(b, {-0.46F, 0.05F, 0.05F}, {0.15F, 0.05F, 0.05F}, b.dark());
  add_frustum(b, {0.1F, 0.5F, 0.5F}, {0.5F, 0.3F, 0.3F}, mix(b.color, kGlow, 0.6F));
}

void build_bowl(const Body& b) {
  b.build.lathe(
      0.0F, 0.0F,
      std::array<Ring, 4>{
          {{-0.5F, 0.2F, 0.2F}, {-0.3F, 0.36F, 0.36F}, {0.1F, 0.47F, 0.47F}, {0.5F, 0.5F, 0.5F}}},
      b.segments, b.color, true);
}

void build_bottle(const Body& b) {
  add_frustum(b, {-0.5F, 0.5F, 0.5F}, {0.05F, 0.5F, 0.5F}, b.color);
  add_frustum(b, {0.05F, 0.5F, 0.5F}, {0.22F, 0.2F, 0.2F}, b.dark(0.1F));
  add_frustum(b, {0.22F, 0.2F, 0.2F}, {0.42F, 0.18F, 0.18F}, b.dark(0.15F));
  add_frustum(b, {0.42F, 0.22F, 0.22F}, {0.5F, 0.22F, 0.22F}, b.pale(0.6F));
}

void build_panel(const Body& b) {
  const sim::Object& object = b.object;
  // The picture lies on the largest side: the front of a painting, the top of a rug.
  const bool lies = object.size.y < object.size.z && object.size.y < object.size.x;
  b.build.box({-0.5F, -0.5F, -0.5F}, {0.5F, 0.49F, 0.49F}, b.dark(0.3F));
  if (lies) {
    b.build.box({-0.44F, 0.0F, -0.44F}, {0.44F, 0.5F, 0.44F}, b.color);
    b.build.box({-0.25F, 0.4F, -0.25F}, {0.25F, 0.505F, 0.25F}, b.pale(0.25F));
  } else {
    b.build.box({-0.44F, -0.44F, 0.0F}, {0.44F, 0.44F, 0.5F}, b.color);
    b.build.box({-0.25F, -0.25F, 0.4F}, {0.25F, 0.2F, 0.505F}, b.pale(0.35F));
  }
}

void build_cylinder(const Body& b) {
  const float top = 0.5F - b.drop({-0.5F, -0.5F, -0.5F}, {0.5F, 0.5F, 0.5F});
  if (top > -0.5F) add_frustum(b, {-0.5F, 0.5F, 0.5F}, {top, 0.5F, 0.5F}, b.color);
}

void build_family(const Body& b) {
  switch (b.object.shape) {
    case Shape::kBox:
      return build_box(b);
    case Shape::kCylinder:
      return build_cylinder(b);
    case Shape::kSphere:
      return add_sphere(b, -0.5F, 0.5F, 0.5F, b.color);
    case Shape::kCone:
      return add_frustum(b, {-0.5F, 0.5F, 0.5F}, {0.5F, 0.0F, 0.0F}, b.color);
    case Shape::kTable:
      return build_table(b);
    case Shape::kChair:
      return build_chair(b);
    case Shape::kBed:
      return build_bed(b);
    case Shape::kSofa:
      return build_sofa(b);
    case Shape::kShelf:
      return build_shelf(b);
    case Shape::kPlant:
      return build_plant(b);
    case Shape::kToilet:
      return build_toilet(b);
    case Shape::kScreen:
      return build_screen(b);
    case Shape::kLamp:
      return build_lamp(b);
    case Shape::kBowl:
      return build_bowl(b);
    case Shape::kBottle:
      return build_bottle(b);
    case Shape::kPanel:
      return build_panel(b);
  }
}

}  // namespace

BoxTransform box_transform(const sim::Object& object) {
  // Unity turns about z, then x, then y; all three clockwise when looking along the axis from its
  // tip in this left-handed frame.
  const SinCos rx = sin_cos_deg(object.rotation_deg.x);
  const SinCos ry = sin_cos_deg(object.rotation_deg.y);
  const SinCos rz = sin_cos_deg(object.rotation_deg.z);
  const auto turn = [&](Vec3 p) {
    p = {p.x * rz.cos - p.y * rz.sin, p.x * rz.sin + p.y * rz.cos, p.z};
    p = {p.x, p.y * rx.cos - p.z * rx.sin, p.y * rx.sin + p.z * rx.cos};
    return Vec3{p.x * ry.cos + p.z * ry.sin, p.y, p.z * ry.cos - p.x * ry.sin};
  };
  return {object.center, turn({object.size.x, 0.0F, 0.0F}), turn({0.0F, object.size.y, 0.0F}),
          turn({0.0F, 0.0F, object.size.z})};
}

Mesh build_shape(const sim::Object& object, std::span<const sim::Solid> contents, int level) {
  Mesh mesh;
  const BoxTransform transform = box_transform(object);
  MeshBuilder builder(mesh, transform);
  // The boxes of what leans are not upright, and nothing stands on it.
  const bool is_upright = object.rotation_deg.x == 0.0F && object.rotation_deg.z == 0.0F;
  if (!is_upright) contents = {};
  build_family(
      {builder, object, contents, object.color, level, kSegments[static_cast<std::size_t>(level)]});
  mesh.seal();
  return mesh;
}

}  // namespace flare::render
