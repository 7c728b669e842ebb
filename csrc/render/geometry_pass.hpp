// Faces -> clipped, projected polygons on the canvas.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "render/asset_mesh.hpp"
#include "render/canvas.hpp"
#include "render/lighting.hpp"
#include "render/mesh.hpp"
#include "render/simd.hpp"
#include "render/texture.hpp"

namespace flare::render {

/// What a primitive number on the canvas stands for. Number 0 is the background.
struct Primitive {
  std::uint32_t color = 0;      // of a flat face, light applied
  std::int32_t paint = -1;      // k >= 0: surface k, -2 - k: textured plane k, -1: flat
  std::uint16_t object_id = 0;  // 0 structure, 1 + k object k
};

class GeometryPass {
 public:
  void begin();

  /// The camera and the light of the next meshes, in the meshes' own coordinates, and their finish.
  void look(const View& view, const Lighting& lighting, const Finish& finish = {});

  /// Draws the faces of a mesh that look at the camera.
  void draw(const Mesh& mesh, std::uint16_t object_id, const PixelRect& scissor, Canvas& canvas);

  /// Draws a textured mesh; `place` takes its metres to the world. The level of detail is the
  /// coarsest whose error is below a pixel at this distance, or the finest whose triangles are
  /// still some pixels large.
  void draw(const AssetMesh& mesh, const BoxTransform& place, std::uint16_t object_id,
            const PixelRect& scissor, Canvas& canvas);

  [[nodiscard]] const std::vector<Primitive>& primitives() const { return primitives_; }
  [[nodiscard]] const std::vector<TexturedPlane>& textured() const { return textured_; }

 private:
  /// A mesh's vertices in camera coordinates and, where they can be, on the screen.
  struct Vertices {
    std::vector<float> x, y, z;
    std::vector<float> inverse_z;
    std::vector<std::int32_t> pixel_x, pixel_y;  // 1/256 pixel
    std::vector<std::int32_t> outside;           // bit per clip plane

    void resize(std::size_t size);
  };

  /// The corners of one face.
  struct Polygon {
    // Each clip plane adds one corner at most.
    std::array<FixedPoint, kMaxFaceVertices + 5> corners;
    std::size_t size = 0;
    float nearest = 0.0F, farthest = 0.0F;  // 1/m, of the corners
  };

  /// A triangle of an asset in camera coordinates: its plane as the image sees it.
  struct Triangle {
    std::array<Vec3, 3> corners;
    Vec3 normal;          // towards the side it is seen from, not of unit length
    float height = 0.0F;  // times the normal's length: the camera's distance from the plane
  };

  void project(std::size_t first, F32x8 x, F32x8 y, F32x8 z);
  void transform(const Mesh& mesh);
  void transform(const AssetLod& lod, const BoxTransform& place);
  [[nodiscard]] const AssetLod& choose_lod(const AssetMesh& mesh, const BoxTransform& place) const;
  [[nodiscard]] bool make_polygon(std::span<const std::uint16_t> indices);
  void make_clipped_polygon(std::span<const std::uint16_t> indices, std::int32_t planes);
  [[nodiscard]] InverseDepth depth_of(const Face& face, float height) const;
  [[nodiscard]] Triangle make_triangle(std::span<const std::uint16_t> indices) const;
  [[nodiscard]] InverseDepth depth_of(const Triangle& triangle) const;
  [[nodiscard]] float area_on_screen() const;  // px, of the polygon
  [[nodiscard]] Primitive paint(const AssetLod& lod, std::span<const std::uint16_t> indices,
                                const Triangle& triangle, const AssetTexture& texture,
                                const Lighting& lighting);

  View view_;
  Lighting lighting_;
  Finish finish_;
  float guard_ = 1.0F;  // |X| <= guard Z keeps within the guard band, |Y| alike
  Vertices vertices_;
  Polygon polygon_;
  std::vector<Vec3> uncut_, cut_;
  std::vector<Primitive> primitives_;
  std::vector<TexturedPlane> textured_;
};

}  // namespace flare::render
