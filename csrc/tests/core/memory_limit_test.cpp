#include "core/memory_limit.hpp"

#include <doctest/doctest.h>

TEST_CASE("memory limit: something is left, and less than an exabyte") {
  const flare::MemoryLimit limit = flare::available_memory();
  CHECK(limit.bytes > 0);
  CHECK(limit.bytes < 1'000'000'000'000'000'000ULL);
  CHECK(!limit.what.empty());
}

TEST_CASE("memory limit: a missing file system sets no limit") {
  CHECK(flare::available_on("/no/such/folder").bytes == ~0ULL);
}

TEST_CASE("memory limit: bytes as text") {
  CHECK(flare::format_bytes(0) == "0 bytes (0.0 B)");
  CHECK(flare::format_bytes(1'536'000) == "1536000 bytes (1.5 MB)");
}
