#include "render/rasterizer.hpp"

#include <algorithm>
#include <vector>

#include "core/assert.hpp"
#include "render/canvas.hpp"
#include "render/footprint.hpp"
#include "render/geometry_pass.hpp"
#include "render/lighting.hpp"
#include "render/portal.hpp"
#include "render/robot_mesh.hpp"
#include "render/scene.hpp"
#include "render/shade.hpp"
#include "render/simd.hpp"
#include "render/trigonometry.hpp"
#include "render/view.hpp"

namespace flare::render {
namespace {

/// Diameters in pixels from which the finer levels of detail are used.
constexpr std::array<float, kNumLevels - 1> kLevelFrom = {8.0F, 24.0F, 90.0F};

/// An object to be drawn, in the order of drawing.
struct Candidate {
  float distance = 0.0F;  // m from the camera to the box's centre
  std::int32_t object = 0;
  std::int32_t moved = -1;  // index into Impl::moved, -1 at home
  std::size_t level = 0;
};

/// A moved object's camera and light as its home, where its mesh is, would see them.
struct MovedView {
  View view;
  Lighting lighting;
  BoxTransform box;  // in the world
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

/// The transform of a box, for points in metres of a mesh with a box of that size.
BoxTransform per_meter(const BoxTransform& box, Vec3 size) {
  return {box.center, box.axis_x * (1.0F / size.x), box.axis_y * (1.0F / size.y),
          box.axis_z * (1.0F / size.z)};
}

BoxTransform move_box(const ObjectScene& object, const MovedObject& moved) {
  const SinCos turn = sin_cos_deg(moved.yaw_deg - object.yaw_deg);
  const BoxTransform& home = object.home;
  return {moved.center, turn_about_y(home.axis_x, turn), turn_about_y(home.axis_y, turn),
          turn_about_y(home.axis_z, turn)};
}

MovedView move_view(const View& view, const Lighting& lighting, const ObjectScene& object,
                    const MovedObject& moved) {
  const SinCos turn = sin_cos_deg(moved.yaw_deg - object.yaw_deg);
  const SinCos back = {-turn.sin, turn.cos};
  MovedView out{view, lighting, move_box(object, moved)};
  out.view.position = object.home.center + turn_about_y(view.position - moved.center, back);
  out.view.right = turn_about_y(view.right, back);
  out.view.up = turn_about_y(view.up, back);
  out.view.ahead = turn_about_y(view.ahead, back);
  const auto turned_axis = [&](Vec3 axis) { return turn_about_y(axis, turn); };
  out.lighting = lighting.in_frame(turned_axis({1.0F, 0.0F, 0.0F}), {0.0F, 1.0F, 0.0F},
                                   turned_axis({0.0F, 0.0F, 1.0F}));
  return out;
}

}  // namespace

struct Rasterizer::Impl {
  View view;
  Lighting lighting;
  Canvas canvas;
  GeometryPass geometry;
  Shader shader;
  bool culls = true;
  VisibleRooms rooms;
  std::vector<PixelRect> object_rects;  // [objects] where each may be visible
  std::vector<std::uint8_t> is_moved;   // [objects]
  std::vector<MovedView> moved;
  RobotMesh robot;
  std::vector<Candidate> candidates;
  std::vector<PrimitiveRange> object_range;  // [objects]

  void find_moved(const Scene::Impl& scene, std::span<const MovedObject> objects);
  void find_objects(const Scene::Impl& scene);
  [[nodiscard]] PixelRect rect_of_rooms(const Scene::Impl& scene, const BoxTransform& box) const;
  void add_candidate(const ObjectScene& object, Vec3 center, Candidate candidate);
  void draw_robot(std::span<const RobotPart> parts);
  void draw_objects(const Scene::Impl& scene, std::uint64_t texture_seed);
  void draw_structure(const Scene::Impl& scene);
};

/// Where the rooms that a box stands in are visible; everywhere for a box in no room.
PixelRect Rasterizer::Impl::rect_of_rooms(const Scene::Impl& scene, const BoxTransform& box) const {
  const std::array<Vec2, 4> corners = footprint(box);
  PixelRect rect;
  bool is_placed = false;
  for (std::size_t r = 0; r < scene.outside(); ++r) {
    const std::vector<Vec2>& polygon = scene.rooms[r].polygon;
    if (polygon.size() < 3 || !overlap(corners, polygon)) continue;
    rect = hull(rect, rooms.rects[r]);
    is_placed = true;
  }
  return is_placed ? rect : view.full();
}

void Rasterizer::Impl::add_candidate(const ObjectScene& object, Vec3 center, Candidate candidate) {
  const Vec3 at = view.to_camera(center);
  if (!sphere_in_view(view, at, object.radius)) return;
  candidate.distance = length(at);
  const float diameter = 2.0F * object.radius * view.focal / std::max(candidate.distance, 0.01F);
  candidate.level = level_of_detail(diameter);
  candidates.push_back(candidate);
}

void Rasterizer::Impl::find_moved(const Scene::Impl& scene, std::span<const MovedObject> objects) {
  is_moved.assign(scene.objects.size(), 0);
  moved.clear();
  for (const MovedObject& object : objects) {
    const auto index = static_cast<std::size_t>(object.object);
    FLARE_ASSERT(index < scene.objects.size() && is_moved[index] == 0);
    is_moved[index] = 1;
    const ObjectScene& mesh = scene.objects[index];
    moved.push_back(move_view(view, lighting, mesh, object));
    object_rects[index] = rect_of_rooms(scene, moved.back().box);
    if (object_rects[index].empty()) continue;
    Candidate candidate;
    candidate.object = object.object;
    candidate.moved = static_cast<std::int32_t>(moved.size()) - 1;
    add_candidate(mesh, object.center, candidate);
  }
}

/// Objects of visible rooms in the frustum, each once, with the rectangle of all its rooms.
void Rasterizer::Impl::find_objects(const Scene::Impl& scene) {
  for (std::size_t r = 0; r < scene.rooms.size(); ++r) {
    const PixelRect rect = r == scene.outside() ? view.full() : rooms.rects[r];
    if (rect.empty()) continue;
    for (const std::int32_t index : scene.rooms[r].objects) {
      if (is_moved[static_cast<std::size_t>(index)] != 0) continue;
      PixelRect& known = object_rects[static_cast<std::size_t>(index)];
      const bool is_new = known.empty();
      known = hull(known, rect);
      if (!is_new) continue;
      const ObjectScene& object = scene.objects[static_cast<std::size_t>(index)];
      Candidate candidate;
      candidate.object = index;
      add_candidate(object, object.home.center, candidate);
    }
  }
}

void Rasterizer::Impl::draw_objects(const Scene::Impl& scene, std::uint64_t texture_seed) {
  // Front to back; the index settles equal distances, so that the order of two objects does not
  // depend on which others are drawn.
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.object < b.object;
  });
  object_range.assign(scene.objects.size(), PrimitiveRange{});
  for (const Candidate& candidate : candidates) {
    const auto index = static_cast<std::size_t>(candidate.object);
    const MovedView* const away =
        candidate.moved < 0 ? nullptr : &moved[static_cast<std::size_t>(candidate.moved)];
    const View& seen_from = away == nullptr ? view : away->view;
    const ScreenBounds bounds = bounds_of(seen_from, scene.objects[index].bounds);
    const PixelRect rect = intersect(object_rects[index], bounds.rect);
    if (rect.empty() || canvas.hides(rect, bounds.inverse_depth)) continue;
    PrimitiveRange& range = object_range[index];
    range.first = static_cast<std::uint32_t>(geometry.primitives().size());
    const auto id = static_cast<std::uint16_t>(candidate.object + 1);
    const ObjectScene& object = scene.objects[index];
    const Finish finish = draw_finish(texture_seed, candidate.object);
    if (object.asset < 0) {
      geometry.look(seen_from, away == nullptr ? lighting : away->lighting, finish);
      geometry.draw(object.levels[candidate.level], id, rect, canvas);
    } else {
      const AssetMesh& mesh = scene.assets[static_cast<std::size_t>(object.asset)];
      geometry.look(view, lighting, finish);
      geometry.draw(mesh, per_meter(away == nullptr ? object.home : away->box, mesh.size), id, rect,
                    canvas);
    }
    range.last = static_cast<std::uint32_t>(geometry.primitives().size());
  }
}

/// Rooms from the camera's own outwards.
void Rasterizer::Impl::draw_structure(const Scene::Impl& scene) {
  geometry.look(view, lighting);
  for (const std::size_t r : rooms.order) {
    geometry.draw(scene.rooms[r].structure, 0, rooms.rects[r], canvas);
  }
  geometry.draw(scene.shell, 0, view.full(), canvas);
}

void Rasterizer::Impl::draw_robot(std::span<const RobotPart> parts) {
  geometry.look(view, lighting);
  for (const RobotPart& part : parts) {
    const float radius = 0.5F * (length(part.axis_x) + length(part.axis_y) + length(part.axis_z));
    if (!sphere_in_view(view, view.to_camera(part.center), radius)) continue;
    geometry.draw(robot.place(part), kRobotId, view.full(), canvas);
  }
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
  d.lighting = make_lighting(variation.light_seed);
  d.canvas.resize(image.width, image.height);
  d.canvas.clear();
  find_visible_rooms(scene, d.view, d.rooms);
  if (!d.culls) d.rooms.add_all(d.view.full());
  d.geometry.begin();
  d.draw_structure(scene);
  d.draw_robot(variation.robot);
  d.object_rects.assign(scene.objects.size(), PixelRect{});
  d.candidates.clear();
  d.find_moved(scene, variation.moved);
  d.find_objects(scene);
  d.draw_objects(scene, variation.texture_seed);
  d.shader.begin(scene, d.view, d.lighting, variation.material_seed, d.geometry);
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
