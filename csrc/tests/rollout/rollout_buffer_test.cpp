#include "rollout/rollout_buffer.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "core/view.hpp"
#include "rollout/worker_slot.hpp"

using namespace std::chrono_literals;
using flare::Command;
using flare::RolloutBuffer;
using flare::SlotState;
using flare::StateError;
using flare::WorkerSlot;

namespace {

constexpr std::size_t kWords = 100;  // of one frame

std::shared_ptr<RolloutBuffer> make_buffer(std::size_t num_envs, std::size_t num_steps = 4) {
  const std::vector<flare::ArraySpec> specs{{"frames", "<u4", 4, {num_steps + 1, num_envs, kWords}},
                                            {"actions", "<u4", 4, {num_steps, num_envs}}};
  return std::make_shared<RolloutBuffer>(RolloutBuffer::create(specs, num_envs, ""));
}

flare::View<std::uint32_t, 3> frames_of(const RolloutBuffer& buffer) {
  const auto& shape = buffer.layout().find("frames").spec.shape;
  return {reinterpret_cast<std::uint32_t*>(buffer.array("frames")), {shape[0], shape[1], shape[2]}};
}

flare::View2<std::uint32_t> actions_of(const RolloutBuffer& buffer) {
  const auto& shape = buffer.layout().find("actions").spec.shape;
  return {reinterpret_cast<std::uint32_t*>(buffer.array("actions")), {shape[0], shape[1]}};
}

void send(RolloutBuffer& buffer, std::int32_t env, std::uint32_t step,
          Command command = Command::kStep) {
  buffer.send_actions(std::span(&env, 1), std::span(&step, 1), command);
}

/// A world that writes its action into every word of its frame, until it is closed.
void run_world(const std::shared_ptr<RolloutBuffer>& buffer, std::int32_t env) {
  WorkerSlot slot(buffer, env);
  const auto frames = frames_of(*buffer);
  const auto actions = actions_of(*buffer);
  while (true) {
    const auto request = slot.wait_action(RolloutBuffer::kForever);
    if (request->command == Command::kClose) return;
    std::uint32_t* frame = &frames(request->step + 1, env, 0);
    std::fill_n(frame, kWords, actions(request->step, env));
    slot.finish_step();
  }
}

}  // namespace

TEST_CASE("rollout buffer: threads hand slots back and forth without a race") {
  constexpr std::int32_t kEnvs = 4;
  constexpr std::uint32_t kTotal = 3000;
  constexpr std::uint32_t kSteps = 16;
  const auto buffer = make_buffer(kEnvs, kSteps);
  const auto frames = frames_of(*buffer);
  const auto actions = actions_of(*buffer);
  std::vector<std::thread> worlds;
  for (std::int32_t env = 0; env < kEnvs; ++env) worlds.emplace_back(run_world, buffer, env);

  std::array<std::uint32_t, kEnvs> step{};
  const auto act = [&](std::int32_t env) {
    const std::uint32_t t = step.at(static_cast<std::size_t>(env));
    actions(t % kSteps, env) = t * kEnvs + static_cast<std::uint32_t>(env);
    send(*buffer, env, t % kSteps);
  };
  for (std::int32_t env = 0; env < kEnvs; ++env) act(env);
  std::size_t torn = 0;
  for (std::uint32_t done = 0; done < kEnvs * kTotal;) {
    // Every count of environments to wait for, as far as that many are in flight.
    const auto going = static_cast<std::size_t>(
        std::count_if(step.begin(), step.end(), [](std::uint32_t t) { return t < kTotal; }));
    const auto result = buffer->wait_ready(1 + done % going, 10s);
    REQUIRE(!result.ready.empty());
    for (const std::int32_t env : result.ready) {
      const std::uint32_t t = step.at(static_cast<std::size_t>(env))++;
      const std::uint32_t* frame = &frames(t % kSteps + 1, env, 0);
      const std::uint32_t wanted = t * kEnvs + static_cast<std::uint32_t>(env);
      torn += std::count(frame, frame + kWords, wanted) == kWords ? 0 : 1;
      ++done;
      if (t + 1 < kTotal) act(env);
    }
  }
  CHECK(torn == 0);
  for (std::int32_t env = 0; env < kEnvs; ++env) send(*buffer, env, 0, Command::kClose);
  for (std::thread& world : worlds) world.join();
}

TEST_CASE("rollout buffer: a wait for many sleeps through the first few") {
  const auto buffer = make_buffer(3);
  std::vector<std::thread> worlds;
  for (std::int32_t env = 0; env < 3; ++env) {
    worlds.emplace_back([&, env] {
      WorkerSlot slot(buffer, env);
      CHECK(slot.wait_action(10s).has_value());
      std::this_thread::sleep_for(env * 20ms);
      slot.finish_step();
    });
  }
  for (std::int32_t env = 0; env < 3; ++env) send(*buffer, env, 0);
  CHECK(buffer->wait_ready(3, 10s).ready == std::vector<std::int32_t>{0, 1, 2});
  for (std::thread& world : worlds) world.join();
}

TEST_CASE("rollout buffer: calls in the wrong order are refused and change nothing") {
  const auto buffer = make_buffer(2);
  CHECK_THROWS_AS(buffer->wait_ready(1, 0s), StateError);
  WorkerSlot slot(buffer, 0);
  CHECK_THROWS_AS(WorkerSlot(buffer, 0), StateError);
  CHECK_THROWS_AS(slot.finish_step(), StateError);
  CHECK_FALSE(slot.wait_action(1ms).has_value());
  send(*buffer, 0, 1);
  const std::array<std::int32_t, 2> envs{1, 0};
  const std::array<std::uint32_t, 2> steps{0, 0};
  CHECK_THROWS_AS(buffer->send_actions(envs, steps, Command::kStep), StateError);
  CHECK(buffer->state(1) == SlotState::kIdle);
  CHECK(slot.wait_action(1s)->step == 1);
  CHECK_THROWS_AS((void)slot.wait_action(1s), StateError);
  CHECK_THROWS_AS(buffer->reclaim(0), StateError);
  CHECK_THROWS_AS((void)buffer->slot(2), flare::ShapeError);
  slot.finish_step();
  CHECK(buffer->wait_ready(1, 0s).ready == std::vector<std::int32_t>{0});
  slot.leave();
  slot.leave();
  CHECK_THROWS_AS((void)slot.wait_action(0s), StateError);
  CHECK_NOTHROW(WorkerSlot(buffer, 0));
}

TEST_CASE("rollout buffer: a handle of another buffer is refused") {
  const auto buffer = make_buffer(1);
  const auto attach = [&](std::uint64_t token) {
    return RolloutBuffer::attach(flare::SharedMemory::attach_fd(buffer->memory().fd()), token);
  };
  CHECK(attach(buffer->token()).num_envs() == 1);
  CHECK(attach(0).token() == buffer->token());
  CHECK_THROWS_AS(attach(buffer->token() ^ 2U), flare::SharedMemoryError);
}

TEST_CASE("rollout buffer: killed workers are told once, what they had finished still counts") {
  const auto buffer = make_buffer(2);
  send(*buffer, 0, 0);
  send(*buffer, 1, 0);
  const pid_t child = fork();
  if (child == 0) {
    WorkerSlot finished(buffer, 0);
    WorkerSlot unfinished(buffer, 1);
    (void)unfinished.wait_action(10s);
    (void)finished.wait_action(10s);
    finished.finish_step();
    kill(getpid(), SIGKILL);
  }
  const auto start = std::chrono::steady_clock::now();
  const auto result = buffer->wait_ready(2, 10s);
  CHECK(std::chrono::steady_clock::now() - start < 5s);
  CHECK(result.ready == std::vector<std::int32_t>{0});
  CHECK(result.dead == std::vector<std::int32_t>{1});
  waitpid(child, nullptr, 0);
  CHECK_THROWS_AS(send(*buffer, 1, 0), StateError);
  std::this_thread::sleep_for(RolloutBuffer::kLivenessPeriod);
  CHECK(buffer->wait_ready(0, 0s).dead == std::vector<std::int32_t>{0});
  CHECK(buffer->wait_ready(0, 0s).dead.empty());
  buffer->reclaim(0);
  buffer->reclaim(1);
  WorkerSlot replacement(buffer, 1);
  send(*buffer, 1, 2);
  CHECK(replacement.wait_action(1s)->step == 2);
}

TEST_CASE("rollout buffer: a forked child that lets go of a slot leaves it to its parent") {
  const auto buffer = make_buffer(1);
  WorkerSlot slot(buffer, 0);
  const pid_t child = fork();
  if (child == 0) {
    slot.leave();
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  CHECK_THROWS_AS(WorkerSlot(buffer, 0), StateError);
}
