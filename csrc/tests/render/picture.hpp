// One drawn image with all its planes, for the tests of this folder.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/rng.hpp"
#include "render/rasterizer.hpp"

namespace flare::render {

struct Picture {
  Picture(int w, int h)
      : width(w),
        height(h),
        rgb(3 * static_cast<std::size_t>(w * h)),
        depth(static_cast<std::size_t>(w * h)),
        ids(static_cast<std::size_t>(w * h)) {}

  void draw(Rasterizer& rasterizer, const Scene& scene, const Camera& camera,
            const SceneVariation& variation = {}) {
    rasterizer.draw(scene, variation, camera,
                    {width, height, rgb.data(), depth.data(), ids.data()});
  }

  [[nodiscard]] long count(std::uint16_t id) const {
    return std::count(ids.begin(), ids.end(), id);
  }

  [[nodiscard]] std::size_t at(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
           static_cast<std::size_t>(x);
  }

  /// Of colours, ids and the bits of the depths (FNV-1a).
  [[nodiscard]] std::uint64_t hash() const {
    std::uint64_t h = 0xCBF29CE484222325ULL;
    const auto add = [&h](const void* data, std::size_t size) {
      const auto* bytes = static_cast<const std::uint8_t*>(data);
      for (std::size_t i = 0; i < size; ++i) h = (h ^ bytes[i]) * 0x100000001B3ULL;
    };
    add(rgb.data(), rgb.size());
    add(depth.data(), depth.size() * sizeof(float));
    add(ids.data(), ids.size() * sizeof(std::uint16_t));
    return h;
  }

  int width, height;
  std::vector<std::uint8_t> rgb;
  std::vector<float> depth;
  std::vector<std::uint16_t> ids;
};

inline SceneVariation materials(std::uint64_t seed) {
  SceneVariation variation;
  variation.material_seed = seed;
  return variation;
}

/// A camera anywhere in a rectangle of the floor, as a function of the number.
inline Camera random_camera(std::uint64_t number, Vec2 low, Vec2 high) {
  const auto uniform = [number](std::uint64_t draw, float a, float b) {
    return a + (b - a) * keyed_uniform(1234, number, 0, 0, draw);
  };
  Camera camera;
  camera.position = {uniform(0, low.x, high.x), uniform(1, 0.3F, 2.2F), uniform(2, low.z, high.z)};
  camera.yaw_deg = uniform(3, -360.0F, 360.0F);
  camera.pitch_deg = uniform(4, -60.0F, 80.0F);
  return camera;
}

}  // namespace flare::render
