#include "sim/lattice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <queue>
#include <tuple>
#include <unordered_set>
#include <vector>

namespace flare::sim {
namespace {

constexpr std::size_t kMostPoses = 6000;
constexpr float kSamePlace = 0.05F;  // m, poses nearer than this with one yaw are one pose
constexpr std::array<Action, 6> kBaseActions = {Action::kMoveAhead,       Action::kRotateRight,
                                                Action::kRotateLeft,      Action::kRotateRightSmall,
                                                Action::kRotateLeftSmall, Action::kMoveBack};

struct Node {
  Pose pose;
  int actions;   // from the start
  Action first;  // the action that left the start on the way here
};

std::uint64_t key_of(const Pose& pose) {
  const auto part = [](float value, float unit) {
    return static_cast<std::uint64_t>(std::llround(value / unit)) & 0xFFFFFU;
  };
  return part(pose.position.x, kSamePlace) << 40U | part(pose.position.z, kSamePlace) << 20U |
         part(pose.yaw_deg, kRotateSmallStep);
}

float distance_at(const NavGrid& grid, const GeodesicField& field, const Pose& pose) {
  const int cell = grid.nearest_cell(disc_centre(pose));
  return cell < 0 ? -1.0F : field.distance[static_cast<std::size_t>(cell)];
}

}  // namespace

std::optional<Action> first_action_towards(const CollisionMap& collision, const NavGrid& grid,
                                           const GeodesicField& field, const Pose& start,
                                           float below) {
  using Entry = std::tuple<float, std::size_t>;  // estimated total of actions, node
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  std::vector<Node> nodes = {{start, 0, Action::kDone}};
  std::unordered_set<std::uint64_t> seen = {key_of(start)};
  queue.emplace(0.0F, 0);
  while (!queue.empty() && nodes.size() < kMostPoses) {
    const std::size_t index = std::get<1>(queue.top());
    queue.pop();
    const Node node = nodes[index];
    const float here = distance_at(grid, field, node.pose);
    if (index != 0 && here >= 0.0F && here < below) return node.first;
    for (const Action action : kBaseActions) {
      const auto pose = moved(collision, node.pose, action);
      if (!pose || !seen.insert(key_of(*pose)).second) continue;
      const float left = distance_at(grid, field, *pose);
      if (left < 0.0F) continue;
      nodes.push_back({*pose, node.actions + 1, index == 0 ? action : node.first});
      const float estimate = std::max(0.0F, left - below) / kMoveStep;
      queue.emplace(static_cast<float>(node.actions + 1) + estimate, nodes.size() - 1);
    }
  }
  return std::nullopt;
}

}  // namespace flare::sim
