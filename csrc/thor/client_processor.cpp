#include "thor/client_processor.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>

namespace flare::thor {
namespace {

constexpr unsigned kTurns = 32;      // between two looks
constexpr int kProcessorField = 39;  // of proc_pid_stat(5), counted from 1
constexpr int kFieldsBefore = 2;     // the number and the name, which ends with the last ')'

}  // namespace

int processor_of(std::string_view stat) {
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return -1;
  std::string_view rest = stat.substr(name_end + 1);
  for (int field = kFieldsBefore + 1;; ++field) {
    const std::size_t start = rest.find_first_not_of(" \n");
    if (start == std::string_view::npos) return -1;
    rest.remove_prefix(start);
    const std::string_view word = rest.substr(0, rest.find_first_of(" \n"));
    if (field == kProcessorField) {
      int processor = -1;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), processor);
      return error == std::errc() && end == word.data() + word.size() ? processor : -1;
    }
    rest.remove_prefix(word.size());
  }
}

ClientProcessor::ClientProcessor()
    : stat_(open(("/proc/" + std::to_string(getppid()) + "/stat").c_str(), O_RDONLY | O_CLOEXEC)) {}

ClientProcessor::~ClientProcessor() {
  if (stat_ >= 0) close(stat_);
}

void ClientProcessor::follow() {
  if (stat_ < 0 || turn_++ % kTurns != 0) return;
  std::array<char, 1024> text{};
  const ssize_t size = pread(stat_, text.data(), text.size(), 0);
  if (size <= 0) return;
  const int processor = processor_of({text.data(), static_cast<std::size_t>(size)});
  if (processor < 0 || processor >= CPU_SETSIZE || processor == processor_) return;
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(processor, &only);
  if (sched_setaffinity(0, sizeof(only), &only) == 0) processor_ = processor;
}

}  // namespace flare::thor
