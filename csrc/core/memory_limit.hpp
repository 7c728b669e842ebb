// How much memory this process may still take: the machine's, its control group's, /dev/shm's.
#pragma once

#include <cstdint>
#include <string>

namespace flare {

struct MemoryLimit {
  std::uint64_t bytes;  // that may still be taken
  std::string what;     // who sets the limit, for messages
};

/// What a file like /proc/meminfo says is left; without limit where it says nothing.
MemoryLimit available_in(const std::string& meminfo);

/// The tightest of the machine's available memory and the limits of this process' control groups
/// (v1 and v2, each level up to the root). Page cache that the kernel can drop counts as free.
MemoryLimit available_memory();

/// Free bytes of the file system behind a path, e.g. "/dev/shm".
MemoryLimit available_on(const std::string& path);

/// Bytes as text: "1536000 bytes (1.5 MB)".
std::string format_bytes(std::uint64_t bytes);

}  // namespace flare
