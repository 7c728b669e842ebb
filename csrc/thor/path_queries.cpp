// Where the robot can stand and how it gets there.
#include <array>
#include <cmath>
#include <queue>
#include <set>
#include <utility>

#include "thor/actions.hpp"

namespace flare::thor {
namespace {

using nlohmann::json;

constexpr std::array<float, 4> kMeshRadii = {0.5F, 0.4F, 0.3F, 0.2F};  // m, of navMeshId 0 to 3
constexpr std::size_t kMostPositions = 100'000;
constexpr float kArrived = 0.01F;  // m

json get_reachable_positions(Simulator& s, const Arguments& a) {
  a.check({}, {"gridSize", "maxStepCount", "directionsRelativeAgent"});
  const auto grid = static_cast<float>(a.number("gridSize", s.grid_size));
  if (grid < 0.05F) fail("gridSize must be at least 0.05");
  const sim::CollisionMap& collision = s.house().sim->collision;
  const auto at = [&](std::pair<int, int> cell) {
    return Vec2{s.pose.position.x + static_cast<float>(cell.first) * grid,
                s.pose.position.z + static_cast<float>(cell.second) * grid};
  };
  const float radius = s.robot().body.radius;
  std::set<std::pair<int, int>> found = {{0, 0}};
  std::queue<std::pair<int, int>> open;
  open.push({0, 0});
  while (!open.empty() && found.size() < kMostPositions) {
    const auto [i, k] = open.front();
    open.pop();
    for (const std::pair<int, int>& next :
         {std::pair(i + 1, k), std::pair(i - 1, k), std::pair(i, k + 1), std::pair(i, k - 1)}) {
      if (found.contains(next)) continue;
      if (collision.sweep_blocked(at({i, k}), at(next), radius, &s.things)) continue;
      found.insert(next);
      open.push(next);
    }
  }
  json out = json::array();
  for (const auto& cell : found) {
    const Vec2 point = at(cell);
    out.push_back(to_json({point.x, s.robot().body.reference_height, point.z}));
  }
  return out;
}

/// The maps of a body of a navigation mesh's radius, centred on its reference point.
std::shared_ptr<const sim::BodyMaps> mesh_maps(const Simulator& s, const Arguments& a) {
  const double id = a.number("navMeshId", 3.0);
  if (id < 0.0 || id >= static_cast<double>(kMeshRadii.size())) {
    fail("there is no navigation mesh of that id");
  }
  sim::BodySpec body = s.robot().body;
  body.radius = kMeshRadii[static_cast<std::size_t>(id)];
  body.centre_offset = 0.0F;
  return s.house().sim->shared->maps(body);
}

json path_of(const std::vector<Vec2>& corners) {
  json out = json::array();
  for (const Vec2 corner : corners) out.push_back(to_json({corner.x, 0.0F, corner.z}));
  return {{"corners", std::move(out)}};
}

/// Follows a field from a point to its nearest goal and keeps the corners that a straight way
/// between needs.
json walk(const sim::BodyMaps& maps, const sim::GeodesicField& field, Vec2 start,
          const Vec2* end = nullptr) {
  int cell = maps.grid.nearest_cell(start);
  const auto at = [](int i) { return static_cast<std::size_t>(i); };
  if (cell < 0 || field.distance[at(cell)] < 0.0F) fail("no path could be found");
  std::vector<Vec2> way = {start};
  while (true) {
    way.push_back(maps.grid.cells()[at(cell)]);
    if (field.next[at(cell)] == cell) break;
    cell = field.next[at(cell)];
  }
  if (end != nullptr) way.push_back(*end);
  std::vector<Vec2> corners = {start};
  for (std::size_t i = 1; i + 1 < way.size(); ++i) {
    if (length(way[i] - corners.back()) < kArrived) continue;
    if (maps.collision.sweep_blocked(corners.back(), way[i + 1])) corners.push_back(way[i]);
  }
  corners.push_back(way.back());
  return path_of(corners);
}

json get_shortest_path(Simulator& s, const Arguments& a) {
  a.check({"objectId"}, {"position", "rotation", "navMeshId", "allowedError"});
  const auto maps = mesh_maps(s, a);
  const Vec3 from = a.vector("position", {s.pose.position.x, 0.0F, s.pose.position.z});
  const std::array<std::int32_t, 1> object = {s.object(a.text("objectId"))};
  const sim::GeodesicField field = maps->grid.field_to_objects(
      s.house().sim->house, maps->collision, s.robot(), object, sim::World::kVisibilityDistance);
  return walk(*maps, field, {from.x, from.z});
}

json get_shortest_path_to_point(Simulator& s, const Arguments& a) {
  a.check({"position", "target"}, {"navMeshId", "allowedError"});
  const auto maps = mesh_maps(s, a);
  const Vec3 from = a.vector("position");
  const Vec3 to = a.vector("target");
  const Vec2 end = {to.x, to.z};
  const std::array<std::int32_t, 1> goal = {maps->grid.nearest_cell(end)};
  if (goal[0] < 0) fail("no path could be found");
  return walk(*maps, maps->grid.field_to_cells(goal), {from.x, from.z}, &end);
}

}  // namespace

void add_path_queries(ActionTable& table) {
  table["GetReachablePositions"] = {get_reachable_positions, true};
  table["GetShortestPath"] = {get_shortest_path, true};
  table["GetShortestPathToPoint"] = {get_shortest_path_to_point, true};
}

}  // namespace flare::thor
