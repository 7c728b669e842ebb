#include "core/memory_limit.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace {

std::uint64_t left_by(const std::string& text) {
  const auto path =
      std::filesystem::temp_directory_path() / ("flare-meminfo-" + std::to_string(getpid()));
  std::ofstream(path) << text;
  const std::uint64_t bytes = flare::available_in(path.string()).bytes;
  std::filesystem::remove(path);
  return bytes;
}

}  // namespace

TEST_CASE("memory limit: something is left, and less than an exabyte") {
  const flare::MemoryLimit limit = flare::available_memory();
  CHECK(limit.bytes > 0);
  CHECK(limit.bytes < 1'000'000'000'000'000'000ULL);
  CHECK(!limit.what.empty());
}

TEST_CASE("memory limit: a file that does not say sets no limit") {
  CHECK(left_by("MemTotal: 64 kB\nMemAvailable: 12 kB\n") == 12 * 1024);
  CHECK(left_by("MemTotal: 64 kB\nMemAvailable: 0 kB\n") == 0);
  CHECK(left_by("MemTotal: 64 kB\nMemAvailable: max\n") == ~0ULL);
  CHECK(left_by("MemTotal: 64 kB\n") == ~0ULL);
}

TEST_CASE("memory limit: a missing file system sets no limit") {
  CHECK(flare::available_on("/no/such/folder").bytes == ~0ULL);
}

TEST_CASE("memory limit: bytes as text") {
  CHECK(flare::format_bytes(0) == "0 bytes (0.0 B)");
  CHECK(flare::format_bytes(1'536'000) == "1536000 bytes (1.5 MB)");
}
