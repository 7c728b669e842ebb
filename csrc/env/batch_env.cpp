#include "env/batch_env.hpp"

#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "core/assert.hpp"
#include "core/error.hpp"
#include "core/thread_pool.hpp"
#include "env/cameras.hpp"
#include "sim/field_cache.hpp"

namespace flare::env {
namespace {

constexpr std::size_t kFieldBytes = std::size_t{64} << 20U;  // geodesic fields kept per BatchEnv

void require_positive(int value, const char* name) {
  if (value > 0) return;
  throw StateError(std::string(name) + " is " + std::to_string(value) + "; it must be positive");
}

std::size_t index(std::int32_t i) { return static_cast<std::size_t>(i); }

}  // namespace

struct BatchEnv::Impl {
  struct Env {
    sim::World world;
    bool is_playing = false;
    render::SceneVariation variation;
    std::array<std::array<std::int32_t, sim::kMaxTargets>, kNumCameras> pixels{};  // of each target
    [[nodiscard]] std::span<std::int32_t> pixels_of(int camera) {
      return {pixels[index(camera)].data(), world.targets().size()};
    }
    [[nodiscard]] sim::TargetPixels target_pixels() {
      return {pixels_of(kNavigationCamera), pixels_of(kManipulationCamera)};
    }
  };

  std::vector<PlayableHouse> houses;
  BatchEnvConfig config;
  ThreadPool pool;
  std::vector<render::Rasterizer> rasterizers;  // one per thread
  std::vector<Env> envs;
  std::vector<std::uint8_t> is_listed;  // [N] scratch of check_ids
  sim::FieldCache fields{kFieldBytes};

  Impl(std::vector<PlayableHouse> houses_in, const BatchEnvConfig& config_in)
      : houses(std::move(houses_in)),
        config(config_in),
        pool(config_in.num_threads),
        rasterizers(index(config_in.num_threads)),
        envs(index(config_in.num_envs)),
        is_listed(index(config_in.num_envs)) {}

  void check_ids(std::span<const std::int32_t> env_ids);
  const PlayableHouse& house_of(const sim::EpisodeSpec& spec, std::int32_t env) const;
  const PlayableHouse& house_of(const Env& env) const {
    return houses[index(env.world.state().spec.house)];
  }
  void check_playing(std::int32_t env) const;
  void check_state(std::int32_t env, const sim::WorldState& state) const;
  sim::GoalFields fields_of(const sim::EpisodeSpec& spec);
  void begin(Env& env) const;
  [[nodiscard]] bool is_seen_by(const Env& env, int camera) const;
  void draw(Env& env, int camera, render::Rasterizer& rasterizer, const render::ImageView& image);
  void observe(std::int32_t env_id, render::Rasterizer& rasterizer, const StepOutputs& out);
};

void BatchEnv::Impl::check_ids(std::span<const std::int32_t> env_ids) {
  std::fill(is_listed.begin(), is_listed.end(), std::uint8_t{0});
  for (const std::int32_t env : env_ids) {
    if (env < 0 || env >= config.num_envs) {
      throw StateError("env id " + std::to_string(env) + " is not one of the " +
                       std::to_string(config.num_envs) + " envs");
    }
    if (is_listed[index(env)] != 0) {
      throw StateError("env id " + std::to_string(env) + " is listed twice");
    }
    is_listed[index(env)] = 1;
  }
}

const PlayableHouse& BatchEnv::Impl::house_of(const sim::EpisodeSpec& spec,
                                              std::int32_t env) const {
  if (spec.house < 0 || index(spec.house) >= houses.size()) {
    throw StateError("env " + std::to_string(env) + ": house " + std::to_string(spec.house) +
                     " is not one of the " + std::to_string(houses.size()) + " houses");
  }
  return houses[index(spec.house)];
}

void BatchEnv::Impl::check_playing(std::int32_t env) const {
  if (envs[index(env)].is_playing) return;
  throw StateError("env " + std::to_string(env) + " has no episode yet; reset it first");
}

void BatchEnv::Impl::check_state(std::int32_t env, const sim::WorldState& state) const {
  const sim::LoadedHouse& house = *house_of(state.spec, env).sim;
  sim::World::check(house, state.spec);
  const bool is_finite = std::isfinite(state.position.x) && std::isfinite(state.position.z) &&
                         std::isfinite(state.yaw_deg);
  if (is_finite && !house.collision.blocked(sim::disc_centre({state.position, state.yaw_deg}))) {
    return;
  }
  throw StateError("env " + std::to_string(env) +
                   ": the saved state does not fit its house; restore with the houses it was "
                   "saved with");
}

sim::GoalFields BatchEnv::Impl::fields_of(const sim::EpisodeSpec& spec) {
  return fields.get(houses[index(spec.house)].sim, spec);
}

/// What an env keeps beside its world, from the world's new episode.
void BatchEnv::Impl::begin(Env& env) const {
  const sim::EpisodeSpec& spec = env.world.state().spec;
  env.variation.material_seed = sim::draw_material_seed(spec);
  env.variation.light_seed = sim::draw_light_seed(spec);
  env.variation.texture_seed = sim::draw_texture_seed(spec);
  env.pixels = {};
  env.is_playing = true;
}

/// Does a camera show the targets for the facts' sake, though its frame may not be wanted?
bool BatchEnv::Impl::is_seen_by(const Env& env, int camera) const {
  if (camera < config.num_cameras) return true;
  return env.world.state().spec.goal == static_cast<std::int32_t>(sim::Goal::kHold);
}

void BatchEnv::Impl::draw(Env& env, int camera, render::Rasterizer& rasterizer,
                          const render::ImageView& image) {
  rasterizer.draw(*house_of(env).scene, env.variation, mounted_camera(env.world.state(), camera),
                  image);
}

/// World -> frames and facts in the caller's memory.
void BatchEnv::Impl::observe(std::int32_t env_id, render::Rasterizer& rasterizer,
                             const StepOutputs& out) {
  Env& env = envs[index(env_id)];
  const std::size_t frame_bytes = index(config.width) * index(config.height) * 3;
  std::uint8_t* frames = out.frames + index(env_id) * index(config.num_cameras) * frame_bytes;
  for (int camera = 0; camera < kNumCameras; ++camera) {
    if (!is_seen_by(env, camera)) continue;
    render::ImageView image;
    image.width = config.width;
    image.height = config.height;
    if (camera < config.num_cameras) image.rgb = frames + index(camera) * frame_bytes;
    draw(env, camera, rasterizer, image);
    rasterizer.count_pixels(env.world.targets(), env.pixels_of(camera));
  }
  env.world.write_facts(env.target_pixels(), out.facts[env_id]);
}

BatchEnv::BatchEnv(std::vector<PlayableHouse> houses, const BatchEnvConfig& config) {
  require_positive(config.num_envs, "num_envs");
  require_positive(config.num_threads, "num_threads");
  require_positive(config.width, "width");
  require_positive(config.height, "height");
  if (config.num_cameras < 1 || config.num_cameras > kNumCameras) {
    throw StateError("num_cameras is " + std::to_string(config.num_cameras) +
                     "; the robot has a navigation camera (1) and a manipulation camera (2)");
  }
  if (houses.empty()) throw StateError("no houses; give at least one");
  impl_ = std::make_unique<Impl>(std::move(houses), config);
}

BatchEnv::~BatchEnv() = default;

const BatchEnvConfig& BatchEnv::config() const { return impl_->config; }

void BatchEnv::reset(std::span<const std::int32_t> env_ids, std::span<const sim::EpisodeSpec> specs,
                     const StepOutputs& out) {
  Impl& impl = *impl_;
  impl.check_ids(env_ids);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    sim::World::check(*impl.house_of(specs[i], env_ids[i]).sim, specs[i]);
  }
  impl.pool.parallel_for(env_ids.size(), [&](std::size_t i, int thread) {
    Impl::Env& env = impl.envs[index(env_ids[i])];
    env.world.reset(impl.houses[index(specs[i].house)].sim, specs[i], impl.fields_of(specs[i]));
    impl.begin(env);
    impl.observe(env_ids[i], impl.rasterizers[index(thread)], out);
  });
}

void BatchEnv::step(std::span<const std::int32_t> actions, const StepOutputs& out) {
  Impl& impl = *impl_;
  for (std::int32_t env = 0; env < impl.config.num_envs; ++env) {
    impl.check_playing(env);
    sim::World::check(static_cast<sim::Action>(actions[index(env)]));
  }
  impl.pool.parallel_for(impl.envs.size(), [&](std::size_t i, int thread) {
    impl.envs[i].world.step(static_cast<sim::Action>(actions[i]));
    impl.observe(static_cast<std::int32_t>(i), impl.rasterizers[index(thread)], out);
  });
}

void BatchEnv::render(std::span<const std::int32_t> env_ids, int camera, int width, int height,
                      std::uint8_t* rgb, float* depth, std::uint16_t* ids) {
  Impl& impl = *impl_;
  require_positive(width, "width");
  require_positive(height, "height");
  if (camera < 0 || camera >= kNumCameras) {
    throw StateError("camera is " + std::to_string(camera) +
                     "; 0 is the navigation and 1 the manipulation camera");
  }
  impl.check_ids(env_ids);
  for (const std::int32_t env : env_ids) impl.check_playing(env);
  const std::size_t pixels = index(width) * index(height);
  impl.pool.parallel_for(env_ids.size(), [&](std::size_t i, int thread) {
    render::ImageView image;
    image.width = width;
    image.height = height;
    if (rgb != nullptr) image.rgb = rgb + i * pixels * 3;
    if (depth != nullptr) image.depth = depth + i * pixels;
    if (ids != nullptr) image.ids = ids + i * pixels;
    impl.draw(impl.envs[index(env_ids[i])], camera, impl.rasterizers[index(thread)], image);
  });
}

void BatchEnv::expert_actions(std::span<std::int32_t> actions) {
  Impl& impl = *impl_;
  for (std::int32_t env = 0; env < impl.config.num_envs; ++env) impl.check_playing(env);
  impl.pool.parallel_for(impl.envs.size(), [&](std::size_t i, int) {
    Impl::Env& env = impl.envs[i];
    actions[i] = static_cast<std::int32_t>(env.world.expert_action(env.target_pixels()));
  });
}

sim::WorldState BatchEnv::state(int env) const {
  if (env < 0 || env >= impl_->config.num_envs) {
    throw StateError("env id " + std::to_string(env) + " is not one of the " +
                     std::to_string(impl_->config.num_envs) + " envs");
  }
  impl_->check_playing(env);
  return impl_->envs[index(env)].world.state();
}

void BatchEnv::restore(std::span<const std::int32_t> env_ids,
                       std::span<const sim::WorldState> states, const StepOutputs& out) {
  Impl& impl = *impl_;
  impl.check_ids(env_ids);
  for (std::size_t i = 0; i < states.size(); ++i) impl.check_state(env_ids[i], states[i]);
  impl.pool.parallel_for(env_ids.size(), [&](std::size_t i, int thread) {
    Impl::Env& env = impl.envs[index(env_ids[i])];
    const sim::EpisodeSpec& spec = states[i].spec;
    env.world.restore(impl.houses[index(spec.house)].sim, states[i], impl.fields_of(spec));
    impl.begin(env);
    impl.observe(env_ids[i], impl.rasterizers[index(thread)], out);
  });
}

}  // namespace flare::env
