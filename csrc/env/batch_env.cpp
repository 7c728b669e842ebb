#include "env/batch_env.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>

#include "core/assert.hpp"
#include "core/error.hpp"
#include "core/thread_pool.hpp"
#include "env/cameras.hpp"
#include "env/moved_objects.hpp"
#include "env/robot_parts.hpp"
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
    RobotParts parts;
    MovedObjects moved;
    std::array<std::array<std::int32_t, sim::kMaxTargets>, kNumCameras> pixels{};  // of each target
    [[nodiscard]] std::span<std::int32_t> pixels_of(int camera) {
      return {pixels[index(camera)].data(), world.targets().size()};
    }
    [[nodiscard]] sim::TargetPixels target_pixels() {
      return {pixels_of(kNavigationCamera), pixels_of(kManipulationCamera)};
    }
  };

  std::vector<PlayableHouse> houses;
  Robots robots;
  BatchEnvConfig config;
  std::mutex views_mutex;
  std::vector<std::shared_ptr<const sim::LoadedHouse>> views;  // [houses, robots], made when used
  ThreadPool pool;
  std::vector<render::Rasterizer> rasterizers;  // one per thread
  std::vector<Env> envs;
  std::vector<std::uint8_t> is_listed;  // [N] scratch of check_ids
  std::vector<std::int64_t> costs;      // [N] ns, of each env's last step
  std::vector<std::int32_t> order;      // [N] in which the next step takes them
  sim::FieldCache fields{kFieldBytes};

  Impl(std::vector<PlayableHouse> houses_in, Robots robots_in, const BatchEnvConfig& config_in)
      : houses(std::move(houses_in)),
        robots(std::move(robots_in)),
        config(config_in),
        views(houses.size() * robots.size()),
        pool(config_in.num_threads),
        rasterizers(index(config_in.num_threads)),
        envs(index(config_in.num_envs)),
        is_listed(index(config_in.num_envs)),
        costs(index(config_in.num_envs)),
        order(index(config_in.num_envs)) {
    std::iota(order.begin(), order.end(), 0);
  }

  void check_ids(std::span<const std::int32_t> env_ids);
  std::shared_ptr<const sim::LoadedHouse> view_of(const sim::EpisodeSpec& spec, std::int32_t env);
  void sort_by_cost();
  void check_playing(std::int32_t env) const;
  void check_state(std::int32_t env, const sim::WorldState& state);
  void begin(Env& env) const;
  [[nodiscard]] bool is_seen_by(const Env& env, int camera) const;
  void draw(Env& env, int camera, render::Rasterizer& rasterizer, const render::ImageView& image);
  void observe(std::int32_t env_id, bool is_drawn, render::Rasterizer& rasterizer,
               const StepOutputs& out);
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

/// The house of an episode as the episode's robot sees it.
std::shared_ptr<const sim::LoadedHouse> BatchEnv::Impl::view_of(const sim::EpisodeSpec& spec,
                                                                std::int32_t env) {
  const auto require = [&](std::int32_t i, std::size_t count, const std::string& kind) {
    if (i >= 0 && index(i) < count) return;
    throw StateError("env " + std::to_string(env) + ": " + kind + " " + std::to_string(i) +
                     " is not one of the " + std::to_string(count) + " " + kind + "s");
  };
  require(spec.house, houses.size(), "house");
  require(spec.robot, robots.size(), "robot");
  auto& slot = views[index(spec.house) * robots.size() + index(spec.robot)];
  {
    const std::lock_guard lock(views_mutex);
    if (slot) return slot;
  }
  auto made = std::make_shared<const sim::LoadedHouse>(houses[index(spec.house)].sim->shared,
                                                       robots[index(spec.robot)]);
  const std::lock_guard lock(views_mutex);
  if (!slot) slot = std::move(made);
  return slot;
}

/// The envs that took long come first, as they will again: no thread begins a long one when the
/// others have nothing left. Results do not depend on the order.
void BatchEnv::Impl::sort_by_cost() {
  if (config.num_threads == 1) return;
  std::sort(order.begin(), order.end(), [this](std::int32_t a, std::int32_t b) {
    return std::pair(-costs[index(a)], a) < std::pair(-costs[index(b)], b);
  });
}

void BatchEnv::Impl::check_playing(std::int32_t env) const {
  if (envs[index(env)].is_playing) return;
  throw StateError("env " + std::to_string(env) + " has no episode yet; reset it first");
}

void BatchEnv::Impl::check_state(std::int32_t env, const sim::WorldState& state) {
  const auto house = view_of(state.spec, env);
  sim::World::check_state(*house, state);
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

/// Do the facts need to know what a camera sees, though its frame may not be wanted?
bool BatchEnv::Impl::is_seen_by(const Env& env, int camera) const {
  if (env.world.targets().empty() || index(camera) >= env.world.robot().cameras.size()) {
    return false;
  }
  if (camera < config.num_cameras) return true;
  return env.world.state().spec.goal == static_cast<std::int32_t>(sim::Goal::kHold);
}

void BatchEnv::Impl::draw(Env& env, int camera, render::Rasterizer& rasterizer,
                          const render::ImageView& image) {
  const sim::World& world = env.world;
  env.variation.moved = moved_objects(world.surroundings(), world.pose(), env.moved);
  env.variation.robot = draw_parts(world.robot(), world.pose(), env.parts);
  rasterizer.draw(*houses[index(world.state().spec.house)].scene, env.variation,
                  mounted_camera(world.robot(), world.state(), camera), image);
}

/// World -> frames and facts in the caller's memory.
void BatchEnv::Impl::observe(std::int32_t env_id, bool is_drawn, render::Rasterizer& rasterizer,
                             const StepOutputs& out) {
  Env& env = envs[index(env_id)];
  const std::size_t frame_bytes = index(config.width) * index(config.height) * 3;
  std::uint8_t* frames = out.frames + index(env_id) * index(config.num_cameras) * frame_bytes;
  for (int camera = 0; camera < kNumCameras; ++camera) {
    const bool is_wanted = is_drawn && camera < config.num_cameras;
    const bool is_counted = is_seen_by(env, camera);
    if (!is_wanted && !is_counted) continue;
    render::ImageView image;
    image.width = config.width;
    image.height = config.height;
    if (is_wanted) image.rgb = frames + index(camera) * frame_bytes;
    draw(env, camera, rasterizer, image);
    if (is_counted) rasterizer.count_pixels(env.world.targets(), env.pixels_of(camera));
  }
  env.world.write_facts(env.target_pixels(), out.facts[env_id]);
}

BatchEnv::BatchEnv(std::vector<PlayableHouse> houses, Robots robots, const BatchEnvConfig& config) {
  require_positive(config.num_envs, "num_envs");
  require_positive(config.num_threads, "num_threads");
  require_positive(config.width, "width");
  require_positive(config.height, "height");
  require_positive(config.num_cameras, "num_cameras");
  if (houses.empty()) throw StateError("no houses; give at least one");
  if (robots.empty()) throw StateError("no robots; give at least one");
  for (const auto& robot : robots) {
    if (index(config.num_cameras) <= robot->cameras.size()) continue;
    throw StateError("num_cameras is " + std::to_string(config.num_cameras) + "; the robot '" +
                     robot->name + "' has " + std::to_string(robot->cameras.size()));
  }
  impl_ = std::make_unique<Impl>(std::move(houses), std::move(robots), config);
}

BatchEnv::~BatchEnv() = default;

const BatchEnvConfig& BatchEnv::config() const { return impl_->config; }

void BatchEnv::reset(std::span<const std::int32_t> env_ids, std::span<const sim::EpisodeSpec> specs,
                     const StepOutputs& out) {
  Impl& impl = *impl_;
  impl.check_ids(env_ids);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    sim::World::check(*impl.view_of(specs[i], env_ids[i]), specs[i]);
  }
  impl.pool.parallel_for(env_ids.size(), [&](std::size_t i, int thread) {
    Impl::Env& env = impl.envs[index(env_ids[i])];
    env.world.reset(impl.view_of(specs[i], env_ids[i]), specs[i], &impl.fields);
    impl.begin(env);
    impl.observe(env_ids[i], true, impl.rasterizers[index(thread)], out);
  });
}

void BatchEnv::step(std::span<const std::int32_t> actions, std::span<const std::uint8_t> draw,
                    const StepOutputs& out) {
  Impl& impl = *impl_;
  for (std::int32_t env = 0; env < impl.config.num_envs; ++env) {
    impl.check_playing(env);
    sim::World::check(impl.envs[index(env)].world.robot(),
                      static_cast<sim::Action>(actions[index(env)]));
  }
  impl.sort_by_cost();
  impl.pool.parallel_for(impl.envs.size(), [&](std::size_t turn, int thread) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point begin = Clock::now();
    const auto i = index(impl.order[turn]);
    impl.envs[i].world.step(static_cast<sim::Action>(actions[i]));
    const bool is_drawn = draw.empty() || draw[i] != 0;
    impl.observe(impl.order[turn], is_drawn, impl.rasterizers[index(thread)], out);
    impl.costs[i] = (Clock::now() - begin) / std::chrono::nanoseconds(1);
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
  for (const std::int32_t env : env_ids) {
    impl.check_playing(env);
    const sim::RobotSpec& robot = impl.envs[index(env)].world.robot();
    if (index(camera) < robot.cameras.size()) continue;
    throw StateError("env " + std::to_string(env) + ": the robot '" + robot.name +
                     "' has no manipulation camera");
  }
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

const sim::World& BatchEnv::world(std::int32_t env) const {
  impl_->check_ids({&env, 1});
  impl_->check_playing(env);
  return impl_->envs[index(env)].world;
}

sim::WorldState BatchEnv::state(int env) const { return world(env).state(); }

void BatchEnv::restore(std::span<const std::int32_t> env_ids,
                       std::span<const sim::WorldState> states, const StepOutputs& out) {
  Impl& impl = *impl_;
  impl.check_ids(env_ids);
  for (std::size_t i = 0; i < states.size(); ++i) impl.check_state(env_ids[i], states[i]);
  impl.pool.parallel_for(env_ids.size(), [&](std::size_t i, int thread) {
    Impl::Env& env = impl.envs[index(env_ids[i])];
    env.world.restore(impl.view_of(states[i].spec, env_ids[i]), states[i], &impl.fields);
    impl.begin(env);
    impl.observe(env_ids[i], true, impl.rasterizers[index(thread)], out);
  });
}

}  // namespace flare::env
