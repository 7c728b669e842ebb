// What Scene holds: per room its structure, its ways out and its objects.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "render/asset_mesh.hpp"
#include "render/mesh.hpp"
#include "render/rasterizer.hpp"
#include "render/shapes.hpp"
#include "render/view.hpp"

namespace flare::render {

enum class Pattern : std::uint8_t { kPlanks, kTiles, kWall };

/// How a structure face is coloured: a pattern over two world axes.
struct Surface {
  Pattern pattern = Pattern::kWall;
  int room = -1;
  Vec3 axis_u, axis_v;
  Vec3 normal;  // plane: dot(normal, p) = offset
  float offset = 0.0F;
  sim::Color color;
};

/// A rectangle through which another room is seen.
struct Portal {
  int to = -1;  // room index, kOutside
  Vec3 normal;  // into the room it is seen from
  float offset = 0.0F;
  std::array<Vec3, 4> corners;
};

struct RoomScene {
  std::vector<Vec2> polygon;
  Mesh structure;                     // decals first: at equal depth the first drawn stays
  std::vector<Portal> portals;        // seen from inside
  std::vector<std::int32_t> objects;  // every object whose footprint touches the floor polygon
  Vec3 center;                        // for the order of drawing
};

struct ObjectScene {
  BoxTransform home;
  float yaw_deg = 0.0F;  // of the box at home
  float radius = 0.0F;   // of the bounding sphere
  BoxCorners bounds;
  int asset = -1;                       // index into Scene::Impl::assets, -1: a proxy
  std::array<Mesh, kNumLevels> levels;  // of the proxy
};

struct Scene::Impl {
  /// One per sim::House::rooms, then one for what belongs to no room: exterior walls, objects that
  /// stand in no room.
  std::vector<RoomScene> rooms;
  Mesh shell;  // ground below and roof above all rooms, always drawn
  std::vector<Surface> surfaces;
  std::vector<ObjectScene> objects;
  std::shared_ptr<const AssetPack> pack;  // keeps the assets' memory
  std::vector<AssetMesh> assets;          // those of the pack that the house uses

  [[nodiscard]] std::size_t outside() const { return rooms.size() - 1; }
};

}  // namespace flare::render
