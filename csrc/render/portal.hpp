// Which rooms a camera can see, and in which rectangle of the image.
#pragma once

#include <vector>

#include "render/scene.hpp"
#include "render/view.hpp"

namespace flare::render {

/// Finds every way to look out of each room: holes in its walls, and stretches of its boundary
/// where it has no wall. Walls are one-sided, so only the room's own walls count.
void build_portals(const sim::House& house, Scene::Impl& scene);

struct VisibleRooms {
  std::vector<PixelRect> rects;    // [rooms] where each may be seen, empty if nowhere
  std::vector<std::size_t> order;  // a room comes after one through which it is seen

  void add_all(const PixelRect& rect);
};

/// From a camera in no room, everything is visible everywhere.
void find_visible_rooms(const Scene::Impl& scene, const View& view, VisibleRooms& visible);

}  // namespace flare::render
