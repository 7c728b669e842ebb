#include "core/memory_limit.hpp"

#include <sys/statvfs.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include "core/parse.hpp"

namespace flare {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

/// The number after `key` at the start of a line of a file of "key number" lines.
std::optional<std::uint64_t> keyed_number(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name, value;
    if (words >> name >> value && name == key) return parse_number(value);
  }
  return std::nullopt;
}

/// The number that is a whole file; nothing for "max" or a missing file.
std::optional<std::uint64_t> whole_number(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return parse_number(word);
}

struct GroupFiles {
  std::string limit, usage, droppable;
};

void tighten(MemoryLimit& best, const std::string& folder, const GroupFiles& files) {
  const auto limit = whole_number(folder + "/" + files.limit);
  const auto usage = whole_number(folder + "/" + files.usage);
  if (!limit || !usage) return;
  const std::uint64_t cache = keyed_number(folder + "/memory.stat", files.droppable).value_or(0);
  const std::uint64_t used = *usage > cache ? *usage - cache : 0;
  const std::uint64_t left = *limit > used ? *limit - used : 0;
  if (left < best.bytes) best = {left, "the memory limit of control group " + folder};
}

}  // namespace

MemoryLimit available_in(const std::string& meminfo) {
  const auto kib = keyed_number(meminfo, "MemAvailable:");
  return {kib ? *kib * 1024 : kUnlimited, "the machine"};
}

MemoryLimit available_memory() {
  MemoryLimit best = available_in("/proc/meminfo");
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool is_v2 = controllers.empty();
    if (!is_v2 && controllers != "memory") continue;
    const std::string root = is_v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const GroupFiles files =
        is_v2 ? GroupFiles{"memory.max", "memory.current", "inactive_file"}
              : GroupFiles{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
    // Within a container the path of the group may not exist; its root still tells the limit.
    std::string path = line.substr(second + 1);
    while (!path.empty()) {
      tighten(best, root + (path == "/" ? "" : path), files);
      if (path == "/") break;
      path.resize(path.rfind('/'));
      if (path.empty()) path.assign(1, '/');
    }
  }
  return best;
}

MemoryLimit available_on(const std::string& path) {
  struct statvfs stat{};
  if (statvfs(path.c_str(), &stat) != 0) return {kUnlimited, path};
  return {static_cast<std::uint64_t>(stat.f_bavail) * stat.f_frsize, path};
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array kUnits{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  auto scaled = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; scaled >= 1000.0 && unit + 1 < kUnits.size(); ++unit) scaled /= 1000.0;
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%llu bytes (%.1f %s)",
                static_cast<unsigned long long>(bytes), scaled, kUnits[unit]);
  return text.data();
}

}  // namespace flare
