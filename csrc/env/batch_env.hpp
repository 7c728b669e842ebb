// N worlds over a thread pool: step -> render -> write the caller's memory. Knows no rollouts: it
// fills the spans it is handed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "render/rasterizer.hpp"
#include "sim/world.hpp"

namespace flare::env {

/// A house ready to be played and drawn, as the robot it was loaded for sees it; what it shares
/// with other robots is made once.
struct PlayableHouse {
  std::shared_ptr<const sim::LoadedHouse> sim;
  std::shared_ptr<const render::Scene> scene;
};

struct BatchEnvConfig {
  int num_envs = 1;
  int num_threads = 1;
  int width = 384;      // px
  int height = 224;     // px
  int num_cameras = 1;  // 1: navigation; 2: navigation and manipulation
};

/// Caller-owned outputs of one step. Frames: uint8 [N, num_cameras, height, width, 3].
struct StepOutputs {
  std::uint8_t* frames = nullptr;
  sim::Facts* facts = nullptr;  // [N]
};

using Robots = std::vector<std::shared_ptr<const sim::RobotSpec>>;

class BatchEnv {
 public:
  /// Throws StateError for a count or size that is not positive, no houses, no robots, or more
  /// cameras than one of the robots has.
  BatchEnv(std::vector<PlayableHouse> houses, Robots robots, const BatchEnvConfig& config);
  ~BatchEnv();
  BatchEnv(const BatchEnv&) = delete;
  BatchEnv& operator=(const BatchEnv&) = delete;
  BatchEnv(BatchEnv&&) = delete;
  BatchEnv& operator=(BatchEnv&&) = delete;

  /// Starts episodes in the listed envs and writes their first frames and facts (rows env_ids of
  /// the outputs). Throws StateError for a bad spec; no listed env is changed then.
  void reset(std::span<const std::int32_t> env_ids, std::span<const sim::EpisodeSpec> specs,
             const StepOutputs& out);

  /// One action per env [N]. Throws StateError before the first reset of any env and for an action
  /// that an env's robot does not have; no env is changed then. Allocates nothing,
  /// but the way to the rooms that are left when visit_rooms enters a new one.
  /// @param draw  [N], 0: that env's frames are not wanted and not written; empty: all are. Facts
  ///              are the same: what they need of the images is found without their colours.
  void step(std::span<const std::int32_t> actions, std::span<const std::uint8_t> draw,
            const StepOutputs& out);

  /// Draws the current state again at any size; null pointers are skipped.
  /// @param camera 0 navigation, 1 manipulation
  /// rgb [n, h, w, 3] uint8, depth [n, h, w] float32 m, ids [n, h, w] uint16.
  void render(std::span<const std::int32_t> env_ids, int camera, int width, int height,
              std::uint8_t* rgb, float* depth, std::uint16_t* ids);

  /// The expert's next action of every env [N]. Its plans are part of the envs' states.
  void expert_actions(std::span<std::int32_t> actions);

  [[nodiscard]] sim::WorldState state(int env) const;
  /// The world of an env, to look at until the next call that changes it. Throws StateError for an
  /// env that does not exist or has no episode.
  [[nodiscard]] const sim::World& world(std::int32_t env) const;
  /// Puts saved states back and redraws. Same rows as reset. Throws StateError for a state that
  /// does not fit these houses; no listed env is changed then.
  void restore(std::span<const std::int32_t> env_ids, std::span<const sim::WorldState> states,
               const StepOutputs& out);

  [[nodiscard]] const BatchEnvConfig& config() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flare::env
