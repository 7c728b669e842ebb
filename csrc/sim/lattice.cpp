#include "sim/lattice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <queue>
#include <span>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

namespace flare::sim {
namespace {

constexpr std::size_t kMostCoarse = 4000;  // poses; without small turns this is a wide area
constexpr std::size_t kMostFine = 20000;
constexpr std::size_t kMostPostures = 4000;
constexpr float kSamePlace = 0.05F;  // m, poses nearer than this with one yaw are one pose
// The small turns last: the coarse search does without them.
constexpr std::array<Action, 6> kBaseActions = {
    Action::kMoveAhead, Action::kRotateRight,      Action::kRotateLeft,
    Action::kMoveBack,  Action::kRotateRightSmall, Action::kRotateLeftSmall};
constexpr std::size_t kNumCoarse = 4;

struct Node {
  Pose pose;
  int depth;           // actions from the start
  std::size_t parent;  // node it was reached from
  Action action;       // by this action
};

std::uint64_t key_of(const Pose& pose, float turn) {
  const auto part = [](float value, float unit) {
    return static_cast<std::uint64_t>(std::llround(value / unit)) & 0xFFFFFU;
  };
  return part(pose.position.x, kSamePlace) << 40U | part(pose.position.z, kSamePlace) << 20U |
         part(pose.yaw_deg, turn);
}

float distance_at(const LoadedHouse& house, const GeodesicField& field, const Pose& pose) {
  const int cell = house.grid.nearest_cell(disc_centre(house.robot.body, pose));
  return cell < 0 ? -1.0F : field.distance[static_cast<std::size_t>(cell)];
}

class Search {
 public:
  /// Is a pose with so many metres left to walk the end? @param below  as far as the walk must lead
  using Accepts = std::function<bool(const Pose& pose, float left)>;
  Search(const Surroundings& around, const GeodesicField& field, float below, Accepts accepts)
      : around_(around), field_(field), below_(below), accepts_(std::move(accepts)) {}

  /// A* over at most `most_poses` poses; the estimate is the walk that is left, in moves.
  std::vector<Action> run(const Pose& start, std::span<const Action> actions,
                          std::size_t most_poses) {
    nodes_ = {{start, 0, 0, Action::kDone}};
    seen_ = {key(start)};
    queue_ = {};
    queue_.emplace(0.0F, 0);
    while (!queue_.empty() && nodes_.size() < most_poses) {
      const std::size_t index = std::get<1>(queue_.top());
      queue_.pop();
      const Node node = nodes_[index];
      const float here = distance_at(around_.house, field_, node.pose);
      if (index != 0 && here >= 0.0F && accepts_(node.pose, here)) return way_back(index);
      for (const Action action : actions) visit(index, action);
    }
    return {};
  }

 private:
  [[nodiscard]] std::uint64_t key(const Pose& pose) const {
    return key_of(pose, around_.house.robot.steps.rotate_small);
  }

  void visit(std::size_t from, Action action) {
    const auto pose = moved(around_, nodes_[from].pose, action);
    if (!pose || !seen_.insert(key(*pose)).second) return;
    const float left = distance_at(around_.house, field_, *pose);
    if (left < 0.0F) return;
    const int depth = nodes_[from].depth + 1;
    nodes_.push_back({*pose, depth, from, action});
    const float estimate = std::max(0.0F, left - below_) / around_.house.robot.steps.move;
    queue_.emplace(static_cast<float>(depth) + estimate, nodes_.size() - 1);
  }

  [[nodiscard]] std::vector<Action> way_back(std::size_t index) const {
    std::vector<Action> way;
    for (; index != 0; index = nodes_[index].parent) way.push_back(nodes_[index].action);
    std::reverse(way.begin(), way.end());
    return way;
  }

  using Entry = std::tuple<float, std::size_t>;  // estimated total of actions, node
  Surroundings around_;
  const GeodesicField& field_;
  float below_;
  Accepts accepts_;
  std::vector<Node> nodes_;
  std::unordered_set<std::uint64_t> seen_;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
};

}  // namespace

std::vector<Action> way_below(const Surroundings& around, const GeodesicField& field,
                              const Pose& start, float below) {
  Search search(around, field, below, [below](const Pose&, float left) { return left < below; });
  const std::span<const Action> actions = kBaseActions;
  auto way = search.run(start, actions.first(kNumCoarse), kMostCoarse);
  return way.empty() ? search.run(start, actions, kMostFine) : way;
}

std::vector<Action> way_to(const Surroundings& around, const GeodesicField& field,
                           const Pose& start, const std::function<bool(const Pose&)>& accepts) {
  Search search(around, field, 0.0F, [&](const Pose& pose, float) { return accepts(pose); });
  return search.run(start, kBaseActions, kMostPostures);
}

}  // namespace flare::sim
