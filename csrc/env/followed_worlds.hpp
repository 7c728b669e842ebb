// N worlds whose robots move in other simulators (AI2-THOR): what those report becomes facts.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sim/field_cache.hpp"
#include "sim/world.hpp"

namespace flare::env {

class FollowedWorlds {
 public:
  /// Throws StateError without houses or for a count that is not positive.
  FollowedWorlds(std::vector<std::shared_ptr<const sim::LoadedHouse>> houses, int num_envs);

  /// Throws StateError for an env or a start that does not exist, as World::check does.
  void check(std::int32_t env, const sim::EpisodeSpec& spec) const;

  /// Finds ahead of its time what leads to an episode's goal. Safe beside every other call.
  void prepare(const sim::EpisodeSpec& spec);

  /// Begins an env's episode where its simulator says it has begun. Throws as check does.
  void reset(std::int32_t env, const sim::EpisodeSpec& spec, const sim::Report& report,
             sim::Facts& facts);
  /// Takes over what an action did. False for a report that does not fit the house; then the env is
  /// as it was. Throws StateError for an env without an episode or an action its robot lacks.
  [[nodiscard]] bool follow(std::int32_t env, sim::Action action, const sim::Report& report,
                            sim::Facts& facts);
  /// Goes on from a saved state. Throws StateError for one that does not fit these houses.
  void restore(std::int32_t env, const sim::WorldState& state, const sim::Report& report,
               sim::Facts& facts);

  /// The expert's next action in the env's state as far as it is known.
  sim::Action expert_action(std::int32_t env);
  [[nodiscard]] const sim::World& world(std::int32_t env) const;
  [[nodiscard]] int num_envs() const { return static_cast<int>(envs_.size()); }

 private:
  struct Env {
    sim::World world;
    bool is_playing = false;
    sim::Report report;
  };
  [[nodiscard]] const std::shared_ptr<const sim::LoadedHouse>& house_of(
      const sim::EpisodeSpec& spec) const;
  void check_env(std::int32_t env) const;
  void write_facts(Env& env, const sim::Report& report, sim::Facts& facts);

  std::vector<std::shared_ptr<const sim::LoadedHouse>> houses_;
  std::vector<Env> envs_;
  sim::FieldCache fields_;
};

}  // namespace flare::env
