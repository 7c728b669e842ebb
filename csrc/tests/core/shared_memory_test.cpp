#include "core/shared_memory.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.hpp"

using flare::SharedMemory;
using flare::SharedMemoryError;

namespace {

std::string test_name() { return "flare-test-" + std::to_string(getpid()); }

bool name_exists(const std::string& name) {
  const int fd = shm_open(("/" + name).c_str(), O_RDONLY, 0);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

}  // namespace

TEST_CASE("shared memory: starts zeroed and is the same through every way of attaching") {
  const SharedMemory memory = SharedMemory::create(10'000);
  CHECK(memory.size() == 10'000);
  CHECK(std::all_of(memory.data(), memory.data() + memory.size(),
                    [](std::byte b) { return b == std::byte{0}; }));
  memory.data()[9'999] = std::byte{7};
  CHECK(SharedMemory::attach_fd(memory.fd()).data()[9'999] == std::byte{7});
  CHECK(SharedMemory::attach_process(getpid(), memory.fd()).data()[9'999] == std::byte{7});
}

TEST_CASE("shared memory: an attached block outlives its creator") {
  auto memory = SharedMemory::create(100);
  const auto attached = SharedMemory::attach_fd(memory.fd());
  memory.data()[0] = std::byte{1};
  memory = SharedMemory::create(200);  // lets go of the first block
  CHECK(memory.size() == 200);
  CHECK(memory.data()[0] == std::byte{0});
  CHECK(attached.data()[0] == std::byte{1});
}

TEST_CASE("shared memory: no process can shrink a block under another") {
  const SharedMemory memory = SharedMemory::create(8192);
  CHECK(ftruncate(memory.fd(), 10) == -1);
}

TEST_CASE("shared memory: a name lives as long as its creator's object") {
  const std::string name = test_name();
  {
    auto memory = SharedMemory::create_named(name, 4096);
    CHECK_THROWS_AS(SharedMemory::create_named(name, 4096), SharedMemoryError);
    memory.data()[0] = std::byte{3};
    {
      const auto attached = SharedMemory::attach_named(name);
      CHECK(attached.data()[0] == std::byte{3});
    }
    CHECK(name_exists(name));
    const SharedMemory moved = std::move(memory);
    CHECK(name_exists(name));
  }
  CHECK_FALSE(name_exists(name));
}

TEST_CASE("shared memory: a forked child does not unlink its parent's name") {
  const std::string name = test_name();
  auto memory = SharedMemory::create_named(name, 4096);
  const pid_t child = fork();
  if (child == 0) {
    {
      const SharedMemory inherited = std::move(memory);
    }
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  CHECK(name_exists(name));
}

TEST_CASE("shared memory: what cannot be is refused with bytes and mend") {
  CHECK_THROWS_AS(SharedMemory::create(0), SharedMemoryError);
  CHECK_THROWS_WITH_AS(SharedMemory::create(1ULL << 50U), doctest::Contains("1125899906842624"),
                       SharedMemoryError);
  CHECK_THROWS_WITH_AS(SharedMemory::create_named(test_name(), 1ULL << 50U),
                       doctest::Contains("/dev/shm has"), SharedMemoryError);
  CHECK_FALSE(name_exists(test_name()));
  CHECK_THROWS_AS(SharedMemory::create_named("a/b", 1), SharedMemoryError);
  CHECK_THROWS_AS(SharedMemory::attach_fd(-1), SharedMemoryError);
  CHECK_THROWS_AS(SharedMemory::attach_process(getpid(), 1'000'000), SharedMemoryError);
  CHECK_THROWS_AS(SharedMemory::attach_named("flare-test-absent"), SharedMemoryError);
}
