// Canvas -> the caller's image: colours, depth and ids, once per pixel.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "render/canvas.hpp"
#include "render/geometry_pass.hpp"
#include "render/lighting.hpp"
#include "render/pattern.hpp"
#include "render/scene.hpp"
#include "render/simd.hpp"

namespace flare::render {

class Shader {
 public:
  /// @param scene, geometry    read until the next begin()
  /// @param material_seed      SceneVariation::material_seed
  void begin(const Scene::Impl& scene, const View& view, const Lighting& lighting,
             std::uint64_t material_seed, const GeometryPass& geometry);

  void write_rgb(const Canvas& canvas, std::uint8_t* rgb) const;
  void write_ids(const Canvas& canvas, std::uint16_t* ids) const;
  static void write_depth(const Canvas& canvas, float* depth);

 private:
  /// A patterned plane as one image sees it. A pixel at depth d shows the point of the plane at
  /// u = u0 + d (ua x + ub y + uc), v alike.
  struct Paint {
    Pattern pattern = Pattern::kWall;
    float u0 = 0.0F, ua = 0.0F, ub = 0.0F, uc = 0.0F;
    float v0 = 0.0F, va = 0.0F, vb = 0.0F, vc = 0.0F;
    float footprint = 0.0F;  // times depth squared: metres of the plane that a pixel spans
    std::array<std::int16_t, 3> color{};  // kColorOne times [0, 255], light applied
  };

  [[nodiscard]] static Paint make_paint(const Surface& surface, const View& view,
                                        const Lighting& lighting, std::uint64_t material_seed);
  /// Colours of the eight pixels from column x of the row.
  static I32x8 paint_lanes(const Paint& paint, int x, float row, F32x8 inverse_depth);
  template <Pattern kPattern>
  static void paint_run(const Paint& paint, const float* inverse_depth, int x0, int x1, float row,
                        std::uint8_t* rgb);
  template <Pattern kPattern, Detail kDetail>
  static void paint_detailed_run(const Paint& paint, const float* inverse_depth, int x0, int x1,
                                 float row, std::uint8_t* rgb);
  /// Brightness of eight pixels times kBrightnessOne.
  template <Pattern kPattern, Detail kDetail>
  static I32x8 brightness_lanes(const Paint& paint, int x, float row, F32x8 inverse_depth);

  /// One primitive over whole blocks of eight pixels, [x0, x1).
  void write_run(const Canvas& canvas, int y, int x0, int x1, std::uint8_t* rgb) const;
  [[nodiscard]] I32x8 mixed_lanes(const Canvas& canvas, int y, int x) const;

  std::span<const Primitive> primitives_;
  std::span<const TexturedPlane> textured_;
  std::size_t num_surfaces_ = 0;
  // [primitives] 0x00BBGGRR, or ~k: surface k of a patterned one, textured plane k - num_surfaces_
  std::vector<std::int32_t> colors_;
  std::vector<Paint> paints_;  // [surfaces] made where made_ holds
  std::vector<std::uint8_t> made_;
};

}  // namespace flare::render
