// Whether another process of this machine still lives, safe against reused process numbers.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace flare {

/// A process beyond doubt: its number and when it started (clock ticks after boot; 0: not known).
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_time = 0;

  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

/// The process with this number as it is now; start_time 0 if there is none.
ProcessId identify_process(pid_t pid);

/// Follows one process: by pidfd where the kernel has it (5.3), else by its start time in /proc.
class ProcessWatch {
 public:
  explicit ProcessWatch(const ProcessId& process);
  ~ProcessWatch();
  ProcessWatch(ProcessWatch&& other) noexcept;
  ProcessWatch& operator=(ProcessWatch&& other) noexcept;
  ProcessWatch(const ProcessWatch&) = delete;
  ProcessWatch& operator=(const ProcessWatch&) = delete;

  [[nodiscard]] const ProcessId& process() const { return process_; }

  /// False once the process has ended, even if nobody has waited for it yet (a zombie is dead).
  [[nodiscard]] bool is_alive() const;

 private:
  ProcessId process_;
  int pidfd_ = -1;
};

}  // namespace flare
