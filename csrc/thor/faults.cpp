#include "thor/faults.hpp"

#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace flare::thor {
namespace {

constexpr std::size_t kLeakBytes = std::size_t{64} << 20U;
constexpr int kExitCode = 3;
constexpr std::array<std::pair<std::string_view, FaultKind>, 6> kKinds = {
    {{"exit", FaultKind::kExit},
     {"abort", FaultKind::kAbort},
     {"hang", FaultKind::kHang},
     {"truncate", FaultKind::kTruncate},
     {"garbage", FaultKind::kGarbage},
     {"leak", FaultKind::kLeak}}};

FaultKind kind_of(std::string_view name) {
  for (const auto& [known, kind] : kKinds) {
    if (known == name) return kind;
  }
  throw std::invalid_argument("--fault: there is no kind '" + std::string(name) +
                              "'; use exit, abort, hang, truncate, garbage or leak");
}

}  // namespace

Fault parse_fault(std::string_view text) {
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos) {
    throw std::invalid_argument("--fault: '" + std::string(text) +
                                "' is not of the form KIND@ACTION[:N][=TEXT]");
  }
  Fault fault{kind_of(text.substr(0, at)), std::string(text.substr(at + 1)), 1, ""};
  if (const std::size_t equals = fault.action.find('='); equals != std::string::npos) {
    fault.text = fault.action.substr(equals + 1);
    fault.action.resize(equals);
  }
  if (const std::size_t colon = fault.action.find(':'); colon != std::string::npos) {
    const std::string count = fault.action.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(count.data(), count.data() + count.size(), fault.occurrence);
    if (error != std::errc() || end != count.data() + count.size() || fault.occurrence < 1) {
      throw std::invalid_argument("--fault: '" + count + "' is no number of an occurrence from 1");
    }
    fault.action.resize(colon);
  }
  return fault;
}

FaultPlan::FaultPlan(std::vector<Fault> faults) {
  for (Fault& fault : faults) faults_.push_back({std::move(fault), 0});
}

std::optional<FaultKind> FaultPlan::next(std::string_view action, std::string_view message) {
  std::optional<FaultKind> due;
  for (Counted& entry : faults_) {
    if (entry.fault.action != action) continue;
    if (!entry.fault.text.empty() && message.find(entry.fault.text) == std::string_view::npos) {
      continue;
    }
    if (++entry.seen < entry.fault.occurrence) continue;
    if (entry.fault.kind == FaultKind::kLeak) {
      leaked_.emplace_back(kLeakBytes, '\1');  // written, so that the pages are the process' own
    } else {
      due = entry.fault.kind;
    }
  }
  return due;
}

void suffer(FaultKind kind) {
  switch (kind) {
    case FaultKind::kExit:
      _exit(kExitCode);
    case FaultKind::kAbort:
      std::abort();
    case FaultKind::kHang:
      while (true) pause();
    default:
      return;
  }
}

}  // namespace flare::thor
