#include "rollout/process_watch.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <utility>

using flare::identify_process;
using flare::ProcessWatch;

namespace {

pid_t start_sleeper() {
  const pid_t child = fork();
  if (child == 0) {
    while (true) pause();
  }
  return child;
}

void wait_until_zombie(pid_t child) {
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
}

}  // namespace

TEST_CASE("process watch: this process lives and has a start time") {
  const auto self = identify_process(getpid());
  CHECK(self.start_time > 0);
  CHECK(ProcessWatch(self).is_alive());
}

TEST_CASE("process watch: a killed child is dead before anyone waits for it, and after") {
  const pid_t child = start_sleeper();
  ProcessWatch watch(identify_process(child));
  CHECK(watch.is_alive());
  kill(child, SIGKILL);
  wait_until_zombie(child);
  CHECK_FALSE(watch.is_alive());
  CHECK_FALSE(ProcessWatch(identify_process(child)).is_alive());
  const ProcessWatch moved = std::move(watch);
  waitpid(child, nullptr, 0);
  CHECK_FALSE(moved.is_alive());
  CHECK_FALSE(ProcessWatch(identify_process(child)).is_alive());
}

TEST_CASE("process watch: a number that now means another process is dead") {
  auto former = identify_process(getpid());
  former.start_time += 1;
  CHECK_FALSE(ProcessWatch(former).is_alive());
}
