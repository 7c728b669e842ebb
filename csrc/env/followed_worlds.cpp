#include "env/followed_worlds.hpp"

#include <array>
#include <cmath>
#include <string>

#include "core/error.hpp"

namespace flare::env {
namespace {

constexpr std::size_t kFieldBytes = std::size_t{64} << 20U;  // geodesic fields kept

std::size_t index(std::int32_t i) { return static_cast<std::size_t>(i); }

/// What is seen, as the pixel counts that the embedded world has.
std::array<std::int32_t, sim::kMaxTargets> pixels_of(std::uint16_t seen) {
  std::array<std::int32_t, sim::kMaxTargets> pixels{};
  for (unsigned k = 0; k < pixels.size(); ++k) pixels[k] = seen >> k & 1U;
  return pixels;
}

bool fits(const sim::LoadedHouse& house, const sim::Report& report) {
  const auto num_objects = static_cast<std::int32_t>(house.house.objects.size());
  bool is_good = std::isfinite(report.x) && std::isfinite(report.z) &&
                 std::isfinite(report.yaw_deg) && report.held >= -1 && report.held < num_objects &&
                 report.num_moved >= -1 && report.num_moved <= sim::kMaxDisplaced;
  for (std::int32_t i = 0; is_good && i < report.num_moved; ++i) {
    const std::int32_t object = report.moved[index(i)].object;
    is_good = object >= 0 && object < num_objects;
  }
  return is_good;
}

}  // namespace

FollowedWorlds::FollowedWorlds(std::vector<std::shared_ptr<const sim::LoadedHouse>> houses,
                               int num_envs)
    : houses_(std::move(houses)), fields_(kFieldBytes) {
  if (houses_.empty()) throw StateError("no houses; give at least one");
  if (num_envs < 1) throw StateError("num_envs is " + std::to_string(num_envs));
  envs_.resize(index(num_envs));
}

void FollowedWorlds::check_env(std::int32_t env) const {
  if (env >= 0 && index(env) < envs_.size()) return;
  throw StateError("env id " + std::to_string(env) + " is not one of the " +
                   std::to_string(envs_.size()) + " envs");
}

const std::shared_ptr<const sim::LoadedHouse>& FollowedWorlds::house_of(
    const sim::EpisodeSpec& spec) const {
  if (spec.house >= 0 && index(spec.house) < houses_.size() && spec.robot == 0) {
    return houses_[index(spec.house)];
  }
  throw StateError("house " + std::to_string(spec.house) + " is not one of the " +
                   std::to_string(houses_.size()) + " houses, or robot " +
                   std::to_string(spec.robot) + " is not the one robot 0");
}

void FollowedWorlds::check(std::int32_t env, const sim::EpisodeSpec& spec) const {
  check_env(env);
  sim::World::check(*house_of(spec), spec);
}

void FollowedWorlds::prepare(const sim::EpisodeSpec& spec) {
  const auto& house = house_of(spec);
  sim::World::check(*house, spec);
  const int room = sim::room_at(house->house, {spec.x, spec.z});
  const std::uint64_t seen = room >= 0 && room < sim::kMaxRooms ? std::uint64_t{1} << room : 0;
  (void)fields_.get(house, spec, seen);
}

void FollowedWorlds::write_facts(Env& env, const sim::Report& report, sim::Facts& facts) {
  const std::size_t count = env.world.targets().size();
  const auto navigation = pixels_of(report.seen);
  const auto manipulation = pixels_of(report.manip_seen);
  env.world.write_facts({std::span(navigation).first(count), std::span(manipulation).first(count)},
                        facts);
  if (!env.world.robot().arm) return;
  // The hand is told, not worked out from the joints, and what it could take; of targets that no
  // hand can take the boxes tell.
  facts.hand = report.hand;
  facts.target_in_reach = 0;
  const auto& objects = env.world.house().house.objects;
  for (std::size_t k = 0; k < count; ++k) {
    if (objects[index(env.world.targets()[k])].pickupable) {
      facts.in_reach[k] = static_cast<std::uint8_t>(report.in_reach >> k & 1U);
    }
    facts.target_in_reach |= facts.in_reach[k];
  }
}

void FollowedWorlds::reset(std::int32_t env, const sim::EpisodeSpec& spec,
                           const sim::Report& report, sim::Facts& facts) {
  check(env, spec);
  const auto& house = house_of(spec);
  if (!fits(*house, report)) {
    throw StateError(house->house.source + ": a report that does not fit this house");
  }
  Env& e = envs_[index(env)];
  e.world.reset(house, spec, &fields_);
  e.world.adopt(report);
  e.is_playing = true;
  e.report = report;
  write_facts(e, report, facts);
}

bool FollowedWorlds::follow(std::int32_t env, sim::Action action, const sim::Report& report,
                            sim::Facts& facts) {
  check_env(env);
  (void)world(env);
  Env& e = envs_[index(env)];
  if (!fits(e.world.house(), report)) return false;
  e.world.follow(action, report);
  e.report = report;
  write_facts(e, report, facts);
  return true;
}

void FollowedWorlds::restore(std::int32_t env, const sim::WorldState& state,
                             const sim::Report& report, sim::Facts& facts) {
  check_env(env);
  const auto& house = house_of(state.spec);
  sim::World::check_state(*house, state);
  Env& e = envs_[index(env)];
  e.world.restore(house, state, &fields_);
  e.is_playing = true;
  e.report = report;
  write_facts(e, report, facts);
}

const sim::World& FollowedWorlds::world(std::int32_t env) const {
  check_env(env);
  if (!envs_[index(env)].is_playing) {
    throw StateError("env " + std::to_string(env) + " has no episode yet; reset it first");
  }
  return envs_[index(env)].world;
}

sim::Action FollowedWorlds::expert_action(std::int32_t env) {
  (void)world(env);
  Env& e = envs_[index(env)];
  const std::size_t count = e.world.targets().size();
  const auto navigation = pixels_of(e.report.seen);
  const auto manipulation = pixels_of(e.report.manip_seen);
  return e.world.expert_action(
      {std::span(navigation).first(count), std::span(manipulation).first(count)});
}

}  // namespace flare::env
