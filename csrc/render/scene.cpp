#include "render/scene.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "render/footprint.hpp"
#include "render/portal.hpp"
#include "render/structure.hpp"

namespace flare::render {
namespace {

void build_rooms(const sim::House& house, Scene::Impl& scene) {
  scene.rooms.resize(house.rooms.size() + 1);
  for (std::size_t i = 0; i < house.rooms.size(); ++i) {
    RoomScene& room = scene.rooms[i];
    room.polygon = house.rooms[i].polygon;
    Vec2 sum;
    for (const Vec2 p : room.polygon) sum = sum + p;
    const float n = static_cast<float>(std::max<std::size_t>(1, room.polygon.size()));
    room.center = {sum.x / n, 0.0F, sum.z / n};
  }
}

/// The object's box, a little larger: details of the proxies stand out of it by a hair.
BoxCorners bounds_of(const BoxTransform& box) {
  BoxCorners corners;
  for (std::size_t i = 0; i < 8; ++i) {
    const auto sign = [i](std::size_t bit) { return (i & bit) != 0 ? 0.51F : -0.51F; };
    const Vec3 p = box.apply({sign(1), sign(2), sign(4)});
    corners.x[i] = p.x;
    corners.y[i] = p.y;
    corners.z[i] = p.z;
  }
  return corners;
}

/// Assets of the pack by name, each loaded once.
class AssetLoader {
 public:
  explicit AssetLoader(Scene::Impl& scene) : scene_(scene) {}

  /// Index into Scene::Impl::assets, -1 if the pack does not have it.
  int find(const std::string& asset_id) {
    if (scene_.pack == nullptr) return -1;
    const auto [known, is_new] = index_.try_emplace(asset_id, -1);
    if (!is_new) return known->second;
    const std::int64_t asset = scene_.pack->find(asset_id);
    if (asset < 0) return -1;
    known->second = static_cast<int>(scene_.assets.size());
    scene_.assets.push_back(scene_.pack->load(static_cast<std::size_t>(asset)));
    return known->second;
  }

 private:
  Scene::Impl& scene_;
  std::unordered_map<std::string, int> index_;
};

void build_object(const sim::House& house, std::int32_t index, AssetLoader& assets,
                  Scene::Impl& scene) {
  const sim::Object& object = house.objects[static_cast<std::size_t>(index)];
  ObjectScene out;
  out.radius = 0.5F * length(object.size) * 1.01F + 0.001F;
  out.asset = assets.find(object.asset_id);
  const auto contents = sim::contents_of(house, index);
  for (int level = 0; out.asset < 0 && level < kNumLevels; ++level) {
    out.levels[static_cast<std::size_t>(level)] = build_shape(object, contents, level);
  }
  out.home = box_transform(object);
  out.yaw_deg = object.rotation_deg.y;
  out.bounds = bounds_of(out.home);
  const std::array<Vec2, 4> box = footprint(out.home);
  scene.objects.push_back(std::move(out));
  bool placed = false;
  for (std::size_t r = 0; r < scene.outside(); ++r) {
    RoomScene& room = scene.rooms[r];
    if (room.polygon.size() < 3) continue;
    if (static_cast<int>(r) != object.room && !overlap(box, room.polygon)) continue;
    room.objects.push_back(index);
    placed = true;
  }
  if (!placed) scene.rooms[scene.outside()].objects.push_back(index);
}

}  // namespace

Scene::Scene() : impl_(std::make_unique<Impl>()) {}
Scene::~Scene() = default;

std::shared_ptr<const Scene> Scene::build(const sim::House& house,
                                          std::shared_ptr<const AssetPack> pack) {
  const std::shared_ptr<Scene> scene(new Scene());  // NOLINT(cppcoreguidelines-owning-memory)
  Impl& impl = *scene->impl_;
  impl.pack = std::move(pack);
  build_rooms(house, impl);
  build_structure(house, impl);
  build_portals(house, impl);
  AssetLoader assets(impl);
  for (std::size_t i = 0; i < house.objects.size(); ++i) {
    build_object(house, static_cast<std::int32_t>(i), assets, impl);
  }
  return scene;
}

std::size_t Scene::num_triangles() const {
  std::size_t n = impl_->shell.num_triangles();
  for (const RoomScene& room : impl_->rooms) n += room.structure.num_triangles();
  for (const ObjectScene& object : impl_->objects) {
    n += object.asset < 0
             ? object.levels.back().num_triangles()
             : impl_->assets[static_cast<std::size_t>(object.asset)].lods.back().indices.size() / 3;
  }
  return n;
}

std::size_t Scene::bytes() const {
  std::size_t n = sizeof(Scene) + sizeof(Impl) + impl_->shell.bytes() +
                  impl_->surfaces.capacity() * sizeof(Surface) +
                  impl_->rooms.capacity() * sizeof(RoomScene) +
                  impl_->objects.capacity() * sizeof(ObjectScene);
  for (const RoomScene& room : impl_->rooms) {
    n += room.structure.bytes() + room.polygon.capacity() * sizeof(Vec2) +
         room.portals.capacity() * sizeof(Portal) + room.objects.capacity() * sizeof(std::int32_t);
  }
  for (const ObjectScene& object : impl_->objects) {
    for (const Mesh& mesh : object.levels) n += mesh.bytes();
  }
  return n;
}

}  // namespace flare::render
