// Faces -> clipped, projected polygons on the canvas.
#pragma once

#include <cstdint>
#include <vector>

#include "render/canvas.hpp"
#include "render/mesh.hpp"

namespace flare::render {

/// What a primitive number on the canvas stands for. Number 0 is the background.
struct Primitive {
  std::uint32_t color = 0;      // of a flat face
  std::int32_t surface = -1;    // of a patterned face
  std::uint16_t object_id = 0;  // 0 structure, 1 + k object k
};

class GeometryPass {
 public:
  void begin(const View& view);

  /// Draws the faces of a mesh that look at the camera.
  void draw(const Mesh& mesh, std::uint16_t object_id, const PixelRect& scissor, Canvas& canvas);

  [[nodiscard]] const std::vector<Primitive>& primitives() const { return primitives_; }

 private:
  /// A vertex in camera coordinates and, where it can be, on the screen.
  struct Vertex {
    Vec3 position;
    FixedPoint pixel;
    std::uint32_t outside = 0;  // bit per clip plane
  };

  [[nodiscard]] Vertex make_vertex(Vec3 position) const;
  void draw_face(const Mesh& mesh, const Face& face, float height, const PixelRect& scissor,
                 std::uint32_t primitive, Canvas& canvas);
  void clip(std::uint32_t planes);

  View view_;
  float guard_x_ = 1.0F, guard_y_ = 1.0F;  // |X| <= guard Z keeps within the guard band
  std::vector<Vertex> vertices_;
  std::vector<Vertex> polygon_, clipped_;
  std::vector<FixedPoint> corners_;
  std::vector<Primitive> primitives_;
};

}  // namespace flare::render
