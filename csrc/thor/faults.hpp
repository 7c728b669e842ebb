// Failures on demand, so that those who supervise simulators can be tested against real ones: the
// process really hangs, dies, leaks or sends nonsense. Nothing happens unless asked for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flare::thor {

enum class FaultKind {
  kExit,      // the process ends with an exit code
  kAbort,     // the process dies of SIGABRT
  kHang,      // no reply ever comes
  kTruncate,  // half a reply, then nothing more
  kGarbage,   // a reply of bytes that are no message
  kLeak,      // every such action keeps 64 MiB more
};

struct Fault {
  FaultKind kind;
  std::string action;  // name of the action it happens in, "start" for before the first message
  int occurrence = 1;  // from which of them on (1 is the first)
  std::string text;    // only in those whose message holds this
};

/// Reads KIND@ACTION[:N][=TEXT], e.g. "hang@MoveAheadQuick:5" or "exit@CreateHouse=room|7". Throws
/// std::invalid_argument saying what is wrong.
Fault parse_fault(std::string_view text);

/// Counts actions and tells which fault is due; leaking is done here.
class FaultPlan {
 public:
  explicit FaultPlan(std::vector<Fault> faults);

  /// The fault due in this action. @param message  the action's JSON text
  std::optional<FaultKind> next(std::string_view action, std::string_view message);

 private:
  struct Counted {
    Fault fault;
    int seen = 0;
  };
  std::vector<Counted> faults_;
  std::vector<std::vector<char>> leaked_;
};

/// Ends or stops the process for the kinds that do; returns for the others.
void suffer(FaultKind kind);

}  // namespace flare::thor
