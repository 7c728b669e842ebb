#include "render/portal.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "render/structure.hpp"
#include "sim/polygon.hpp"

namespace flare::render {
namespace {

constexpr float kOnLine = 0.05F;     // m between boundaries of neighbouring rooms at most
constexpr float kShortest = 0.005F;  // m, shorter stretches are rounding
constexpr float kInFrame = 0.06F;    // m from a portal's plane within which it hides nothing

struct Interval {
  float low = 0.0F, high = 0.0F;
};

/// One edge of a room's floor polygon.
struct Edge {
  Vec2 start;
  Vec2 along;
  Vec2 inwards;
  float length = 0.0F;

  /// Where a segment near the line of the edge lies along it; low > high if it is not near.
  [[nodiscard]] Interval project(Vec2 a, Vec2 b) const {
    const Vec2 da = a - start;
    const Vec2 db = b - start;
    if (std::abs(dot(da, inwards)) > kOnLine || std::abs(dot(db, inwards)) > kOnLine) {
      return {1.0F, 0.0F};
    }
    const float s = dot(da, along);
    const float t = dot(db, along);
    return {std::max(0.0F, std::min(s, t)), std::min(length, std::max(s, t))};
  }
};

Edge make_edge(const std::vector<Vec2>& polygon, std::size_t i) {
  const Vec2 a = polygon[i];
  const Vec2 d = polygon[(i + 1) % polygon.size()] - a;
  Edge edge;
  edge.start = a;
  edge.length = length(d);
  if (!(edge.length > 0.0F)) return edge;
  edge.along = d * (1.0F / edge.length);
  edge.inwards = {-edge.along.z, edge.along.x};
  const Vec2 probe = a + d * 0.5F + edge.inwards * 0.02F;
  if (!sim::polygon_contains(polygon, probe)) edge.inwards = edge.inwards * -1.0F;
  return edge;
}

/// Parts of [0, length] that none of the intervals covers.
std::vector<Interval> complement(std::vector<Interval> covered, float length) {
  std::sort(covered.begin(), covered.end(),
            [](const Interval& a, const Interval& b) { return a.low < b.low; });
  std::vector<Interval> open;
  float at = 0.0F;
  for (const Interval& c : covered) {
    if (c.low > at + kShortest) open.push_back({at, c.low});
    at = std::max(at, c.high);
  }
  if (length > at + kShortest) open.push_back({at, length});
  return open;
}

class PortalBuilder {
 public:
  PortalBuilder(const sim::House& house, Scene::Impl& scene) : house_(house), scene_(scene) {}

  void build_room(int room) {
    const auto& polygon = house_.rooms[static_cast<std::size_t>(room)].polygon;
    for (std::size_t i = 0; i < polygon.size(); ++i) {
      const Edge edge = make_edge(polygon, i);
      if (edge.length > 0.0F) build_edge(room, edge);
    }
  }

 private:
  void build_edge(int room, const Edge& edge) {
    const float ceiling = house_.rooms[static_cast<std::size_t>(room)].ceiling_y;
    std::vector<Interval> walled;
    for (std::size_t w = 0; w < house_.walls.size(); ++w) {
      const sim::Wall& wall = house_.walls[w];
      if (wall.room != room || wall.empty) continue;
      const Interval span = edge.project(wall.p0, wall.p1);
      if (span.high - span.low < kShortest) continue;
      // A wall that does not reach from floor to ceiling hides nothing for certain.
      if (wall.y0 <= 0.01F && wall.y1 >= ceiling - 0.01F) walled.push_back(span);
      add_holes(room, edge, w);
    }
    for (const Interval& gap : complement(walled, edge.length)) {
      add_portals(room, edge, gap, 0.0F, ceiling);
    }
  }

  void add_holes(int room, const Edge& edge, std::size_t w) {
    const sim::Wall& wall = house_.walls[w];
    const Vec2 along = (wall.p1 - wall.p0) * (1.0F / length(wall.p1 - wall.p0));
    for (const WallOpening& opening : openings_of(house_, w)) {
      if (!opening.passable) continue;
      const Interval span =
          edge.project(wall.p0 + along * opening.rect.s0, wall.p0 + along * opening.rect.s1);
      add_portals(room, edge, span, opening.rect.y0, opening.rect.y1);
    }
  }

  /// One portal for each room that borders on the stretch, one to the outside for the rest of it.
  void add_portals(int room, const Edge& edge, Interval span, float y0, float y1) {
    if (span.high - span.low < kShortest) return;
    std::vector<Interval> taken;
    for (std::size_t other = 0; other < house_.rooms.size(); ++other) {
      if (static_cast<int>(other) == room) continue;
      const auto& polygon = house_.rooms[other].polygon;
      for (std::size_t i = 0; i < polygon.size(); ++i) {
        const Interval shared = edge.project(polygon[i], polygon[(i + 1) % polygon.size()]);
        const Interval part = {std::max(shared.low, span.low), std::min(shared.high, span.high)};
        if (part.high - part.low < kShortest) continue;
        add_portal(room, static_cast<int>(other), edge, part, y0, y1);
        taken.push_back({part.low - span.low, part.high - span.low});
      }
    }
    for (const Interval& rest : complement(taken, span.high - span.low)) {
      const Interval part = {rest.low + span.low, rest.high + span.low};
      add_portal(room, static_cast<int>(scene_.outside()), edge, part, y0, y1);
    }
  }

  void add_portal(int room, int to, const Edge& edge, Interval part, float y0, float y1) {
    const Vec2 a = edge.start + edge.along * part.low;
    const Vec2 b = edge.start + edge.along * part.high;
    Portal portal;
    portal.to = to;
    portal.normal = {edge.inwards.x, 0.0F, edge.inwards.z};
    portal.offset = dot(edge.inwards, edge.start);
    portal.corners = {{{a.x, y0, a.z}, {b.x, y0, b.z}, {b.x, y1, b.z}, {a.x, y1, a.z}}};
    scene_.rooms[static_cast<std::size_t>(room)].portals.push_back(portal);
  }

  const sim::House& house_;
  Scene::Impl& scene_;
};

/// Pixels that a convex polygon may touch, with a margin of one pixel for rounding.
PixelRect bounds_on_screen(const View& view, const std::array<Vec3, 4>& corners) {
  std::array<Vec3, 4> p;
  for (std::size_t i = 0; i < 4; ++i) p[i] = view.to_camera(corners[i]);
  float x0 = 1e9F, y0 = 1e9F, x1 = -1e9F, y1 = -1e9F;
  const auto add = [&](Vec3 c) {
    const float x = view.cx + view.focal * c.x / c.z;
    const float y = view.cy - view.focal * c.y / c.z;
    x0 = std::min(x0, x), x1 = std::max(x1, x), y0 = std::min(y0, y), y1 = std::max(y1, y);
  };
  for (std::size_t i = 0; i < 4; ++i) {
    const Vec3 a = p[i];
    const Vec3 b = p[(i + 1) % 4];
    if (a.z >= view.near_plane) add(a);
    if ((a.z >= view.near_plane) != (b.z >= view.near_plane)) {
      Vec3 c = a + (b - a) * ((view.near_plane - a.z) / (b.z - a.z));
      c.z = view.near_plane;
      add(c);
    }
  }
  if (x0 > x1) return {};
  const auto pixel = [](float v, int size) {
    return static_cast<int>(std::floor(std::clamp(v, -2.0F, static_cast<float>(size) + 2.0F)));
  };
  return intersect(view.full(), {pixel(x0, view.width) - 1, pixel(y0, view.height) - 1,
                                 pixel(x1, view.width) + 2, pixel(y1, view.height) + 2});
}

/// Follows portals as long as the rectangle of some room grows, so it ends.
void visit(const Scene::Impl& scene, const View& view, std::size_t room, const PixelRect& seen,
           VisibleRooms& visible) {
  PixelRect& known = visible.rects[room];
  if (seen.empty() || known.contains(seen)) return;
  if (known.empty()) visible.order.push_back(room);
  known = hull(known, seen);
  const PixelRect window = known;
  if (room == scene.outside()) return;
  for (const Portal& portal : scene.rooms[room].portals) {
    const float distance = dot(portal.normal, view.position) - portal.offset;
    if (distance < -kInFrame) continue;
    const PixelRect through =
        distance < kInFrame ? window : intersect(window, bounds_on_screen(view, portal.corners));
    visit(scene, view, static_cast<std::size_t>(portal.to), through, visible);
  }
}

}  // namespace

void build_portals(const sim::House& house, Scene::Impl& scene) {
  PortalBuilder builder(house, scene);
  for (std::size_t i = 0; i < house.rooms.size(); ++i) builder.build_room(static_cast<int>(i));
}

void VisibleRooms::add_all(const PixelRect& rect) {
  for (std::size_t room = 0; room < rects.size(); ++room) {
    if (rects[room].empty()) order.push_back(room);
    rects[room] = rect;
  }
}

void find_visible_rooms(const Scene::Impl& scene, const View& view, VisibleRooms& visible) {
  visible.rects.assign(scene.rooms.size(), PixelRect{});
  visible.order.clear();
  const Vec2 at = {view.position.x, view.position.z};
  for (std::size_t room = 0; room < scene.outside(); ++room) {
    if (sim::polygon_contains(scene.rooms[room].polygon, at))
      visit(scene, view, room, view.full(), visible);
  }
  // Out of doors, or looking out: nothing is known to hide anything.
  if (visible.order.empty() || !visible.rects[scene.outside()].empty()) {
    visible.add_all(view.full());
  }
}

}  // namespace flare::render
