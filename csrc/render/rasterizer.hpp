// scene -> image on the CPU. One Rasterizer per thread: it owns the depth and id planes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "render/camera.hpp"
#include "sim/house.hpp"

namespace flare::render {

/// Everything about a house that is drawn: meshes with levels of detail, rooms, portals. Immutable
/// after build, shared by all worlds in the house.
class Scene {
 public:
  static std::shared_ptr<const Scene> build(const sim::House& house);
  ~Scene();
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  [[nodiscard]] std::size_t num_triangles() const;  // at full detail
  [[nodiscard]] std::size_t bytes() const;

  struct Impl;
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  Scene();
  std::unique_ptr<Impl> impl_;
};

/// What differs between two episodes in one house.
struct SceneVariation {
  std::uint64_t material_seed =
      0;  // 0: the house's own colours; else walls and floors are recoloured
};

class Rasterizer {
 public:
  Rasterizer();
  ~Rasterizer();
  Rasterizer(Rasterizer&&) noexcept;
  Rasterizer& operator=(Rasterizer&&) noexcept;

  /// Draws the scene. Bit-identical for the same inputs on every thread and machine.
  /// Allocates only when the image size grows.
  void draw(const Scene& scene, const SceneVariation& variation, const Camera& camera,
            const ImageView& image);

  /// With culling off every room and object is drawn, at the same pixels: for tests of visibility.
  void set_culling(bool enabled);

  /// Number of pixels of each listed object in the last image drawn (whether or not `ids` was
  /// asked for). @param objects indices into House::objects  @param counts same length, overwritten
  void count_pixels(std::span<const std::int32_t> objects, std::span<std::int32_t> counts) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flare::render
