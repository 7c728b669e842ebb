#include "rollout/process_watch.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "core/parse.hpp"

namespace flare {
namespace {

struct ProcessStat {
  char state = 'X';  // X: no such process
  std::uint64_t start_time = 0;
};

ProcessStat read_stat(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return {};
  // The command name may hold spaces and parentheses; fields are counted after the last one.
  const std::size_t end_of_name = line.rfind(')');
  if (end_of_name == std::string::npos) return {};
  std::istringstream fields(line.substr(end_of_name + 1));
  ProcessStat stat;
  fields >> stat.state;
  std::string word;
  for (int field = 4; field <= 22; ++field) fields >> word;
  stat.start_time = parse_number(word).value_or(0);
  return stat;
}

int open_pidfd(pid_t pid) {
#ifdef SYS_pidfd_open
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
#else
  (void)pid;
  return -1;
#endif
}

bool lives_in_proc(const ProcessId& process) {
  const ProcessStat stat = read_stat(process.pid);
  const bool is_same = process.start_time == 0 || stat.start_time == process.start_time;
  return stat.state != 'X' && stat.state != 'Z' && is_same;
}

}  // namespace

ProcessId identify_process(pid_t pid) { return {pid, read_stat(pid).start_time}; }

ProcessWatch::ProcessWatch(const ProcessId& process)
    : process_(process), pidfd_(open_pidfd(process.pid)) {
  // The number may already belong to another process: then the one we mean is dead, and without a
  // descriptor is_alive() finds that out from its start time.
  if (pidfd_ >= 0 && !lives_in_proc(process_)) close(std::exchange(pidfd_, -1));
}

ProcessWatch::~ProcessWatch() {
  if (pidfd_ >= 0) close(pidfd_);
}

ProcessWatch::ProcessWatch(ProcessWatch&& other) noexcept
    : process_(other.process_), pidfd_(std::exchange(other.pidfd_, -1)) {}

ProcessWatch& ProcessWatch::operator=(ProcessWatch&& other) noexcept {
  std::swap(process_, other.process_);
  std::swap(pidfd_, other.pidfd_);
  return *this;
}

bool ProcessWatch::is_alive() const {
  if (pidfd_ < 0) return lives_in_proc(process_);
  pollfd entry{pidfd_, POLLIN, 0};  // a pidfd is readable once its process has ended
  return poll(&entry, 1, 0) == 0;
}

}  // namespace flare
