// The processor that the client runs on, which this process shares with it.
#pragma once

#include <string_view>

namespace flare::thor {

/// Keeps this process on its client's processor. The two take turns and never work at once: on one
/// processor neither is woken by another one's interrupt, and what the one wrote is in the cache of
/// the other. Where the kernel does not tell or allow it, nothing happens.
class ClientProcessor {
 public:
  /// The client is this process's parent.
  ClientProcessor();
  ~ClientProcessor();
  ClientProcessor(const ClientProcessor&) = delete;
  ClientProcessor& operator=(const ClientProcessor&) = delete;

  /// Called once a turn; looks every few turns where the client is.
  void follow();

 private:
  int stat_ = -1;  // descriptor of the client's /proc/PID/stat
  int processor_ = -1;
  unsigned turn_ = 0;
};

/// The processor that a process ran on last, from its /proc/PID/stat; -1 for what is no such text.
int processor_of(std::string_view stat);

}  // namespace flare::thor
