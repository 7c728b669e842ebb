#include "render/rasterizer.hpp"

#include <algorithm>
#include <vector>

#include "core/assert.hpp"
#include "render/canvas.hpp"
#include "render/geometry_pass.hpp"
#include "render/portal.hpp"
#include "render/scene.hpp"
#include "render/shade.hpp"
#include "render/simd.hpp"
#include "render/view.hpp"

namespace flare::render {
namespace {

/// Diameters in pixels from which the finer levels of detail are used.
constexpr std::array<float, kNumLevels - 1> kLevelFrom = {8.0F, 24.0F, 90.0F};

/// An object to be drawn, in the order of drawing.
struct Candidate {
  float distance = 0.0F;  // m from the camera to the box's centre
  std::int32_t object = 0;
  std::size_t level = 0;
};

/// Primitive numbers [first, last) of one object in the last image.
struct PrimitiveRange {
  std::uint32_t first = 0, last = 0;
};

std::size_t level_of_detail(float diameter_px) {
  std::size_t level = 0;
  while (level < kLevelFrom.size() && diameter_px >= kLevelFrom[level]) ++level;
  return level;
}

}  // namespace

struct Rasterizer::Impl {
  View view;
  Canvas canvas;
  GeometryPass geometry;
  Shader shader;
  bool culls = true;
  VisibleRooms rooms;
  std::vector<PixelRect> object_rects;  // [objects] where each may be visible
  std::vector<Candidate> candidates;
  std::vector<PrimitiveRange> object_range;  // [objects]

  void find_objects(const Scene::Impl& scene);
  void draw_objects(const Scene::Impl& scene);
  void draw_structure(const Scene::Impl& scene);
};

/// Objects of visible rooms in the frustum, each once, with the rectangle of all its rooms.
void Rasterizer::Impl::find_objects(const Scene::Impl& scene) {
  object_rects.assign(scene.objects.size(), PixelRect{});
  candidates.clear();
  for (std::size_t r = 0; r < scene.rooms.size(); ++r) {
    const PixelRect rect = r == scene.outside() ? view.full() : rooms.rects[r];
    if (rect.empty()) continue;
    for (const std::int32_t index : scene.rooms[r].objects) {
      PixelRect& known = object_rects[static_cast<std::size_t>(index)];
      const bool is_new = known.empty();
      known = hull(known, rect);
      if (!is_new) continue;
      const ObjectScene& object = scene.objects[static_cast<std::size_t>(index)];
      const Vec3 center = view.to_camera(object.center);
      if (!sphere_in_view(view, center, object.radius)) continue;
      const float distance = length(center);
      const float diameter = 2.0F * object.radius * view.focal / std::max(distance, 0.01F);
      candidates.push_back({distance, index, level_of_detail(diameter)});
    }
  }
}

void Rasterizer::Impl::draw_objects(const Scene::Impl& scene) {
  // Front to back; the index settles equal distances, so that the order of two objects does not
  // depend on which others are drawn.
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.object < b.object;
  });
  object_range.assign(scene.objects.size(), PrimitiveRange{});
  for (const Candidate& candidate : candidates) {
    const auto index = static_cast<std::size_t>(candidate.object);
    const ScreenBounds bounds = bounds_of(view, scene.objects[index].bounds);
    const PixelRect rect = intersect(object_rects[index], bounds.rect);
    if (rect.empty() || canvas.hides(rect, bounds.inverse_depth)) continue;
    PrimitiveRange& range = object_range[index];
    range.first = static_cast<std::uint32_t>(geometry.primitives().size());
    geometry.draw(scene.objects[index].levels[candidate.level],
                  static_cast<std::uint16_t>(candidate.object + 1), rect, canvas);
    range.last = static_cast<std::uint32_t>(geometry.primitives().size());
  }
}

/// Rooms from the camera's own outwards.
void Rasterizer::Impl::draw_structure(const Scene::Impl& scene) {
  for (const std::size_t r : rooms.order) {
    geometry.draw(scene.rooms[r].structure, 0, rooms.rects[r], canvas);
  }
  geometry.draw(scene.shell, 0, view.full(), canvas);
}

Rasterizer::Rasterizer() : impl_(std::make_unique<Impl>()) {}
Rasterizer::~Rasterizer() = default;
Rasterizer::Rasterizer(Rasterizer&&) noexcept = default;
Rasterizer& Rasterizer::operator=(Rasterizer&&) noexcept = default;

void Rasterizer::set_culling(bool enabled) { impl_->culls = enabled; }

void Rasterizer::draw(const Scene& scene_in, const SceneVariation& variation, const Camera& camera,
                      const ImageView& image) {
  FLARE_ASSERT(image.width > 0 && image.height > 0);
  const Scene::Impl& scene = scene_in.impl();
  Impl& d = *impl_;
  d.view = make_view(camera, image.width, image.height);
  d.canvas.resize(image.width, image.height);
  d.canvas.clear();
  find_visible_rooms(scene, d.view, d.rooms);
  if (!d.culls) d.rooms.add_all(d.view.full());
  d.geometry.begin(d.view);
  d.draw_structure(scene);
  d.find_objects(scene);
  d.draw_objects(scene);
  d.shader.begin(scene, d.view, variation.material_seed, d.geometry.primitives());
  if (image.rgb != nullptr) d.shader.write_rgb(d.canvas, image.rgb);
  if (image.depth != nullptr) Shader::write_depth(d.canvas, image.depth);
  if (image.ids != nullptr) d.shader.write_ids(d.canvas, image.ids);
}

void Rasterizer::count_pixels(std::span<const std::int32_t> objects,
                              std::span<std::int32_t> counts) const {
  FLARE_ASSERT(objects.size() == counts.size());
  const Impl& d = *impl_;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    counts[i] = 0;
    const auto index = static_cast<std::size_t>(objects[i]);
    if (index >= d.object_range.size()) continue;
    const PrimitiveRange range = d.object_range[index];
    if (range.first == range.last) continue;
    I32x8 sum = {};
    const auto first = static_cast<std::int32_t>(range.first);
    const auto last = static_cast<std::int32_t>(range.last);
    for (int y = 0; y < d.canvas.height(); ++y) {
      const std::uint32_t* const row = d.canvas.primitives(y);
      for (int x = 0; x < d.canvas.stride(); x += kLanes) {
        const auto lanes = load<I32x8>(row + x);
        sum -= (lanes >= first) & (lanes < last);
      }
    }
    for (int lane = 0; lane < kLanes; ++lane) counts[i] += sum[lane];
  }
}

}  // namespace flare::render
