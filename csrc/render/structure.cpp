#include "render/structure.hpp"

#include <algorithm>
#include <array>

#include "render/triangulate.hpp"
#include "sim/door_leaf.hpp"
#include "sim/polygon.hpp"

namespace flare::render {
namespace {

using sim::Color;

constexpr float kSkirt = 0.005F;    // m a wall goes on below the floor and above the ceiling
constexpr float kOverlap = 0.01F;   // m pieces of one wall reach behind each other
constexpr float kFrame = 0.07F;     // m width of door and window frames
constexpr float kSameWall = 0.05F;  // m between the two sides of one wall at most

// Brighter than white: makes up for the light, of which none comes from below.
constexpr Color kCeiling = {1.40F, 1.40F, 1.37F};
constexpr Color kGround = {0.36F, 0.37F, 0.34F};
constexpr Color kFrameColor = {0.88F, 0.86F, 0.80F};
constexpr Color kDoor = {0.52F, 0.36F, 0.22F};
constexpr Color kDoorPanel = {0.44F, 0.30F, 0.18F};
constexpr Color kGlass = {0.80F, 0.92F, 1.0F};

/// The plane of a wall while its faces are made.
struct WallPlane {
  const sim::Wall& wall;
  Vec2 along;   // unit, p0 to p1
  Vec2 normal;  // unit, the side it is seen from
  float length;
  Mesh& mesh;
};

void add_rect(const WallPlane& plane, const WallRect& r, Color color, std::int16_t surface = -1) {
  if (!(r.s1 > r.s0) || !(r.y1 > r.y0)) return;
  // The ends of a wall are its very corner points, so that walls meet without a crack.
  const auto at = [&](float s) {
    if (s <= 0.0F) return plane.wall.p0;
    if (s >= plane.length) return plane.wall.p1;
    return plane.wall.p0 + plane.along * s;
  };
  const Vec2 a = at(r.s0);
  const Vec2 b = at(r.s1);
  const std::array<Vec3, 4> corners = {
      {{a.x, r.y0, a.z}, {b.x, r.y0, b.z}, {b.x, r.y1, b.z}, {a.x, r.y1, a.z}}};
  const Vec3 normal = {plane.normal.x, 0.0F, plane.normal.z};
  add_face(plane.mesh, corners, Plane{normal, dot(plane.normal, plane.wall.p0)}, color, surface);
}

void add_frame(const WallPlane& plane, const WallRect& r, bool with_sill) {
  add_rect(plane, {r.s0 - kFrame, r.s0, r.y0, r.y1 + kFrame}, kFrameColor);
  add_rect(plane, {r.s1, r.s1 + kFrame, r.y0, r.y1 + kFrame}, kFrameColor);
  add_rect(plane, {r.s0, r.s1, r.y1, r.y1 + kFrame}, kFrameColor);
  if (with_sill) {
    add_rect(plane, {r.s0 - kFrame, r.s1 + kFrame, r.y0 - kFrame, r.y0}, kFrameColor);
  }
}

void add_door_leaf(const WallPlane& plane, const WallRect& r) {
  const float w = r.s1 - r.s0;
  const float h = r.y1 - r.y0;
  for (const float low : {0.08F, 0.55F}) {
    add_rect(plane, {r.s0 + 0.15F * w, r.s1 - 0.15F * w, r.y0 + low * h, r.y0 + (low + 0.37F) * h},
             kDoorPanel);
  }
  add_rect(plane, r, kDoor);
}

void add_window_pane(const WallPlane& plane, const WallRect& r) {
  const float s = 0.5F * (r.s0 + r.s1);
  const float y = 0.5F * (r.y0 + r.y1);
  add_rect(plane, {s - 0.02F, s + 0.02F, r.y0, r.y1}, kFrameColor);
  add_rect(plane, {r.s0, r.s1, y - 0.02F, y + 0.02F}, kFrameColor);
  add_rect(plane, r, kGlass);
}

/// What is left of the wall around the ways through: columns between the holes' sides, and in each
/// column the heights that no hole takes. Beside a hole the pieces reach behind their neighbours,
/// because rows of pixels along a T-junction could otherwise be left open.
void add_wall_around_holes(const WallPlane& plane, const std::vector<WallRect>& holes,
                           std::int16_t surface, Color color) {
  const float bottom = plane.wall.y0 - kSkirt;
  const float top = plane.wall.y1 + kSkirt;
  std::vector<float> cuts = {0.0F, plane.length};
  for (const WallRect& hole : holes) {
    cuts.push_back(std::clamp(hole.s0, 0.0F, plane.length));
    cuts.push_back(std::clamp(hole.s1, 0.0F, plane.length));
  }
  std::sort(cuts.begin(), cuts.end());
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    const float middle = 0.5F * (cuts[i] + cuts[i + 1]);
    std::vector<WallRect> here;
    for (const WallRect& hole : holes) {
      if (hole.s0 < middle && middle < hole.s1) here.push_back(hole);
    }
    std::sort(here.begin(), here.end(),
              [](const WallRect& a, const WallRect& b) { return a.y0 < b.y0; });
    const float reach = here.empty() ? 0.0F : kOverlap;
    const WallRect column = {cuts[i] - reach, cuts[i + 1] + reach, bottom, top};
    float y = bottom;
    for (const WallRect& hole : here) {
      // A hole that starts at the floor leaves the skirt below it: it closes the line between the
      // two floors.
      add_rect(plane, {column.s0, column.s1, y, std::max(hole.y0, plane.wall.y0)}, color, surface);
      y = std::max(y, hole.y1);
    }
    add_rect(plane, {column.s0, column.s1, y, top}, color, surface);
  }
}

std::int16_t add_surface(Scene::Impl& scene, const Surface& surface) {
  scene.surfaces.push_back(surface);
  return static_cast<std::int16_t>(scene.surfaces.size() - 1);
}

void add_wall(const sim::House& house, std::size_t index, Scene::Impl& scene) {
  const sim::Wall& wall = house.walls[index];
  const float len = length(wall.p1 - wall.p0);
  if (wall.empty || !(len > 0.0F)) return;
  const std::size_t room = wall.room >= 0 ? static_cast<std::size_t>(wall.room) : scene.outside();
  const Vec2 along = (wall.p1 - wall.p0) * (1.0F / len);
  const WallPlane plane = {wall, along, wall_normal(house, wall), len, scene.rooms[room].structure};
  std::vector<WallRect> holes;
  for (const WallOpening& opening : openings_of(house, index)) {
    const bool is_window = opening.kind == sim::OpeningKind::kWindow;
    if (opening.passable) {
      holes.push_back(opening.rect);
    } else if (is_window) {
      add_window_pane(plane, opening.rect);
    } else {
      add_door_leaf(plane, opening.rect);
    }
    add_frame(plane, opening.rect, is_window);
  }
  const Vec3 normal = {plane.normal.x, 0.0F, plane.normal.z};
  const std::int16_t surface = add_surface(scene, {Pattern::kWall,
                                                   wall.room,
                                                   {along.x, 0.0F, along.z},
                                                   {0.0F, 1.0F, 0.0F},
                                                   normal,
                                                   dot(plane.normal, wall.p0),
                                                   wall.color});
  add_wall_around_holes(plane, holes, surface, wall.color);
}

/// The leaves of an open door, as boards in the room that they open into.
void add_open_leaves(const sim::Opening& opening, Scene::Impl& scene) {
  for (const sim::DoorLeaf& leaf : opening.leaves) {
    const Vec2 span = leaf.tip - leaf.hinge;
    const Vec2 across = Vec2{-span.z, span.x} * (sim::kLeafThickness / length(span));
    const Vec2 middle = (leaf.hinge + leaf.tip) * 0.5F;
    const float height = opening.y1 - opening.y0;
    const BoxTransform board = {{middle.x, opening.y0 + 0.5F * height, middle.z},
                                {span.x, 0.0F, span.z},
                                {0.0F, height, 0.0F},
                                {across.x, 0.0F, across.z}};
    MeshBuilder builder(scene.rooms[static_cast<std::size_t>(opening.room1)].structure, board);
    // Panels lie half a millimetre proud of the board, so that they show on both sides.
    constexpr float kProud = 0.5F + 0.0005F / sim::kLeafThickness;
    for (const float low : {-0.42F, 0.05F}) {
      builder.box({-0.35F, low, -kProud}, {0.35F, low + 0.37F, kProud}, kDoorPanel);
    }
    builder.box({-0.5F, -0.5F, -0.5F}, {0.5F, 0.5F, 0.5F}, kDoor);
  }
}

void add_floor_and_ceiling(const sim::Room& room, int index, Scene::Impl& scene) {
  const bool tiled = room.type == "Bathroom" || room.type == "Kitchen";
  const std::int16_t surface = add_surface(scene, {tiled ? Pattern::kTiles : Pattern::kPlanks,
                                                   index,
                                                   {1.0F, 0.0F, 0.0F},
                                                   {0.0F, 0.0F, 1.0F},
                                                   {0.0F, 1.0F, 0.0F},
                                                   0.0F,
                                                   room.floor});
  Mesh& mesh = scene.rooms[static_cast<std::size_t>(index)].structure;
  for (const auto& t : triangulate(room.polygon)) {
    std::array<Vec3, 3> floor;
    std::array<Vec3, 3> ceiling;
    for (std::size_t k = 0; k < 3; ++k) {
      const Vec2 p = room.polygon[t[k]];
      floor[k] = {p.x, 0.0F, p.z};
      ceiling[k] = {p.x, room.ceiling_y, p.z};
    }
    add_face(mesh, floor, Plane{{0.0F, 1.0F, 0.0F}, 0.0F}, room.floor, surface);
    add_face(mesh, ceiling, Plane{{0.0F, -1.0F, 0.0F}, -room.ceiling_y}, kCeiling);
  }
}

/// Ground below and roof above all rooms: whatever a pixel between two floors shows, it is not
/// another room.
void add_ground_and_roof(const sim::House& house, Scene::Impl& scene) {
  float top = 0.0F;
  for (const sim::Room& room : house.rooms) top = std::max(top, room.ceiling_y);
  const Vec2 a = house.bounds.min - Vec2{1.0F, 1.0F};
  const Vec2 b = house.bounds.max + Vec2{1.0F, 1.0F};
  Mesh& mesh = scene.shell;
  for (const bool roof : {false, true}) {
    const float y = roof ? top + kSkirt : -kSkirt;
    const std::array<Vec3, 4> quad = {{{a.x, y, a.z}, {b.x, y, a.z}, {b.x, y, b.z}, {a.x, y, b.z}}};
    add_face(mesh, quad, roof ? Plane{{0.0F, -1.0F, 0.0F}, -y} : Plane{{0.0F, 1.0F, 0.0F}, y},
             roof ? kCeiling : kGround);
  }
}

}  // namespace

std::vector<WallOpening> openings_of(const sim::House& house, std::size_t wall_index) {
  std::vector<WallOpening> found;
  const sim::Wall& wall = house.walls[wall_index];
  const float len = length(wall.p1 - wall.p0);
  if (!(len > 0.0F)) return found;
  const Vec2 along = (wall.p1 - wall.p0) * (1.0F / len);
  const Vec2 across = {-along.z, along.x};
  for (const sim::Opening& opening : house.openings) {
    if (opening.wall0 < 0) continue;
    const sim::Wall& reference = house.walls[static_cast<std::size_t>(opening.wall0)];
    const Vec2 span = reference.p1 - reference.p0;
    const float span_length = length(span);
    if (!(span_length > 0.0F)) continue;
    const Vec2 a = reference.p0 + span * (opening.x0 / span_length) - wall.p0;
    const Vec2 b = reference.p0 + span * (opening.x1 / span_length) - wall.p0;
    if (std::abs(dot(a, across)) > kSameWall || std::abs(dot(b, across)) > kSameWall) continue;
    const float s0 = std::max(0.0F, std::min(dot(a, along), dot(b, along)));
    const float s1 = std::min(len, std::max(dot(a, along), dot(b, along)));
    if (s1 - s0 < 0.01F) continue;
    found.push_back({{s0, s1, opening.y0, opening.y1}, opening.kind, opening.passable});
  }
  return found;
}

Vec2 wall_normal(const sim::House& house, const sim::Wall& wall) {
  const Vec2 d = wall.p1 - wall.p0;
  const float len = length(d);
  if (!(len > 0.0F)) return {0.0F, 1.0F};
  const Vec2 n = {-d.z / len, d.x / len};
  const Vec2 probe = (wall.p0 + wall.p1) * 0.5F + n * 0.02F;
  if (wall.room >= 0) {
    const auto& polygon = house.rooms[static_cast<std::size_t>(wall.room)].polygon;
    return sim::polygon_contains(polygon, probe) ? n : n * -1.0F;
  }
  for (const sim::Room& room : house.rooms) {
    if (sim::polygon_contains(room.polygon, probe)) return n * -1.0F;
  }
  return n;
}

void build_structure(const sim::House& house, Scene::Impl& scene) {
  for (std::size_t i = 0; i < house.walls.size(); ++i) add_wall(house, i, scene);
  for (std::size_t i = 0; i < house.rooms.size(); ++i) {
    add_floor_and_ceiling(house.rooms[i], static_cast<int>(i), scene);
  }
  for (const sim::Opening& opening : house.openings) add_open_leaves(opening, scene);
  add_ground_and_roof(house, scene);
  for (RoomScene& room : scene.rooms) room.structure.seal();
  scene.shell.seal();
}

}  // namespace flare::render
