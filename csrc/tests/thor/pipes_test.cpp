#include "thor/pipes.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

using namespace flare::thor;

namespace {

/// A named pipe in a folder of its own.
struct NamedPipe {
  std::string folder = "/tmp/flare-pipe-XXXXXX";
  std::string path;

  NamedPipe() {
    REQUIRE(mkdtemp(folder.data()) != nullptr);
    path = folder + "/pipe";
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  }
  ~NamedPipe() {
    unlink(path.c_str());
    rmdir(folder.c_str());
  }
  NamedPipe(const NamedPipe&) = delete;
  NamedPipe& operator=(const NamedPipe&) = delete;
};

std::vector<std::uint8_t> read_bytes(int fd, std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  std::size_t done = 0;
  while (done < count) {
    const ssize_t part = read(fd, bytes.data() + done, count - done);
    REQUIRE(part > 0);
    done += static_cast<std::size_t>(part);
  }
  return bytes;
}

std::vector<std::uint8_t> pattern(std::size_t count, unsigned seed) {
  std::vector<std::uint8_t> bytes(count);
  for (std::size_t i = 0; i < count; ++i) {
    bytes[i] = static_cast<std::uint8_t>((i + seed) * 2'654'435'761U >> 24U);
  }
  return bytes;
}

}  // namespace

TEST_CASE("messages larger than the pipe arrive as they were, one after the other") {
  const NamedPipe named;
  const std::vector<std::uint8_t> small = pattern(7, 1);
  const std::vector<std::uint8_t> large = pattern(3U << 20U, 2);
  std::binary_semaphore asked{0};
  std::thread writer([&] {
    const Pipe pipe(named.path, true);
    pipe.enlarge();
    MessageWriter message;
    const std::vector<OutField> fields = {{Field::kMetadata, small}, {Field::kImage, large}};
    CHECK(message.write(pipe, fields));
    asked.acquire();
    CHECK(message.write(pipe, std::vector<OutField>{{Field::kMetadataPatch, small}}));
    asked.acquire();
  });
  const Pipe pipe(named.path, false);
  const auto expect = [&](const std::vector<std::uint8_t>& bytes) {
    CHECK(read_bytes(pipe.fd(), bytes.size()) == bytes);
  };
  expect({1, 0, 0, 0, 7});
  expect(small);
  expect({4, 0, 0x30, 0, 0});
  expect(large);
  expect({255, 0, 0, 0, 0});
  asked.release();
  expect({11, 0, 0, 0, 7});
  expect(small);
  expect({255, 0, 0, 0, 0});
  asked.release();
  writer.join();
}

TEST_CASE("a reader that is gone ends the writing") {
  const NamedPipe named;
  signal(SIGPIPE, SIG_IGN);
  const int reader = open(named.path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  const Pipe pipe(named.path, true);
  close(reader);
  const std::vector<std::uint8_t> body = pattern(100, 3);
  MessageWriter message;
  CHECK_FALSE(message.write(pipe, std::vector<OutField>{{Field::kMetadata, body}}));
}
