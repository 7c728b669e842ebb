// Faces -> clipped, projected polygons on the canvas.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "render/canvas.hpp"
#include "render/lighting.hpp"
#include "render/mesh.hpp"

namespace flare::render {

/// What a primitive number on the canvas stands for. Number 0 is the background.
struct Primitive {
  std::uint32_t color = 0;      // of a flat face, light applied
  std::int32_t surface = -1;    // of a patterned face
  std::uint16_t object_id = 0;  // 0 structure, 1 + k object k
};

class GeometryPass {
 public:
  void begin();

  /// The camera and the light of the next meshes, in the meshes' own coordinates.
  void look(const View& view, const Lighting& lighting);

  /// Draws the faces of a mesh that look at the camera.
  void draw(const Mesh& mesh, std::uint16_t object_id, const PixelRect& scissor, Canvas& canvas);

  [[nodiscard]] const std::vector<Primitive>& primitives() const { return primitives_; }

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

  void transform(const Mesh& mesh);
  [[nodiscard]] bool make_polygon(const Mesh& mesh, const Face& face);
  void make_clipped_polygon(const Mesh& mesh, const Face& face, std::int32_t planes);
  [[nodiscard]] InverseDepth depth_of(const Face& face, float height) const;

  View view_;
  Lighting lighting_;
  float guard_ = 1.0F;  // |X| <= guard Z keeps within the guard band, |Y| alike
  Vertices vertices_;
  Polygon polygon_;
  std::vector<Vec3> uncut_, cut_;
  std::vector<Primitive> primitives_;
};

}  // namespace flare::render
