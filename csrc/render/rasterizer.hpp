// scene -> image on the CPU. One Rasterizer per thread: it owns the depth and id planes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "render/asset_mesh.hpp"
#include "render/camera.hpp"
#include "sim/house.hpp"

namespace flare::render {

/// Everything about a house that is drawn: meshes with levels of detail, rooms, portals. Immutable
/// after build, shared by all worlds in the house.
class Scene {
 public:
  /// @param pack  objects whose asset it has are drawn with that mesh, scaled to the object's box;
  ///              the others, and all without a pack, with a proxy of their shape family
  /// Throws HouseFormatError if an asset that is needed is damaged.
  static std::shared_ptr<const Scene> build(const sim::House& house,
                                            std::shared_ptr<const AssetPack> pack = nullptr);
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

/// An object that is not where its house has it: in the hand, or put down elsewhere.
struct MovedObject {
  std::int32_t object = 0;  // index into House::objects, each at most once
  Vec3 center;              // of its box
  float yaw_deg = 0.0F;     // in place of its own; a tilt stays
};

/// One convex part of the robot itself: what the unit box, or the cylinder about y in it, becomes
/// with these axes.
struct RobotPart {
  Vec3 center;
  Vec3 axis_x, axis_y, axis_z;  // m, scaled by the part's full extents; perpendicular
  sim::Color color;
  bool is_round = false;
};

/// What differs between two episodes in one house, or between two steps.
struct SceneVariation {
  std::uint64_t material_seed = 0;     // 0: the house's own; else floors and walls are recoloured
  std::uint64_t light_seed = 0;        // 0: the fixed light; else brightness, tint, directions
  std::uint64_t texture_seed = 0;      // 0: the objects' own colours; else shifted, hues stay
  std::span<const MovedObject> moved;  // drawn there instead of at home
  std::span<const RobotPart> robot;    // in the world
};

class Rasterizer {
 public:
  Rasterizer();
  ~Rasterizer();
  Rasterizer(Rasterizer&&) noexcept;
  Rasterizer& operator=(Rasterizer&&) noexcept;

  /// Draws the scene. Bit-identical for the same inputs on every thread and machine.
  /// Allocates only when the image size, or the most there is to draw, grows.
  void draw(const Scene& scene, const SceneVariation& variation, const Camera& camera,
            const ImageView& image);

  /// With culling off every room and object is drawn, at the same pixels: for tests of visibility.
  void set_culling(bool enabled);

  /// Number of pixels of each listed object, at home or moved, in the last image drawn (whether or
  /// not `ids` was asked for). @param objects indices into House::objects  @param counts same
  /// length, overwritten
  void count_pixels(std::span<const std::int32_t> objects, std::span<std::int32_t> counts) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flare::render
