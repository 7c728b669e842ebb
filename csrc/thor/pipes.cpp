#include "thor/pipes.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace flare::thor {
namespace {

constexpr std::size_t kHeaderBytes = 5;
constexpr int kPipeBytes = 1 << 20;
constexpr std::uint32_t kLongestAction = 1U << 30U;  // a longer one is no action

std::array<std::uint8_t, kHeaderBytes> header_of(Field type, std::size_t length) {
  return {static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(length >> 24U),
          static_cast<std::uint8_t>(length >> 16U), static_cast<std::uint8_t>(length >> 8U),
          static_cast<std::uint8_t>(length)};
}

/// False at the end of the file before the first byte.
bool read_exactly(int fd, void* out, std::size_t size) {
  auto* at = static_cast<char*>(out);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t part = read(fd, at + done, size - done);
    if (part < 0 && errno == EINTR) continue;
    if (part < 0) throw std::runtime_error(std::string("client pipe: ") + std::strerror(errno));
    if (part == 0) {
      if (done == 0) return false;
      throw std::runtime_error("client pipe: ends inside a message");
    }
    done += static_cast<std::size_t>(part);
  }
  return true;
}

/// Writes all, in as few calls as the pipe takes. False for a closed pipe.
bool write_all(int fd, std::vector<iovec> parts) {
  std::size_t first = 0;
  while (first < parts.size()) {
    const ssize_t written =
        writev(fd, parts.data() + first, static_cast<int>(parts.size() - first));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    auto left = static_cast<std::size_t>(written);
    while (first < parts.size() && left >= parts[first].iov_len) left -= parts[first++].iov_len;
    if (first == parts.size()) break;
    parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + left;
    parts[first].iov_len -= left;
  }
  return true;
}

}  // namespace

Pipe::Pipe(const std::string& path, bool for_writing)
    : fd_(open(path.c_str(), (for_writing ? O_WRONLY : O_RDONLY) | O_CLOEXEC)) {
  if (fd_ < 0) throw std::runtime_error(path + ": " + std::strerror(errno));
}

Pipe::~Pipe() {
  if (fd_ >= 0) close(fd_);
}

Pipe::Pipe(Pipe&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

void Pipe::enlarge() const { (void)fcntl(fd_, F_SETPIPE_SZ, kPipeBytes); }

std::optional<std::string> read_action(const Pipe& pipe) {
  std::optional<std::string> action;
  while (true) {
    std::array<std::uint8_t, kHeaderBytes> header{};
    if (!read_exactly(pipe.fd(), header.data(), header.size())) return std::nullopt;
    const std::uint32_t length = static_cast<std::uint32_t>(header[1]) << 24U |
                                 static_cast<std::uint32_t>(header[2]) << 16U |
                                 static_cast<std::uint32_t>(header[3]) << 8U | header[4];
    if (header[0] == static_cast<std::uint8_t>(Field::kEnd)) {
      if (!action) throw std::runtime_error("client pipe: a message without an action");
      return action;
    }
    if (header[0] != static_cast<std::uint8_t>(Field::kAction) || length > kLongestAction) {
      throw std::runtime_error("client pipe: field type " + std::to_string(header[0]) + " of " +
                               std::to_string(length) + " bytes is no action");
    }
    action.emplace(length, '\0');
    if (length > 0 && !read_exactly(pipe.fd(), action->data(), length)) {
      throw std::runtime_error("client pipe: ends inside a message");
    }
  }
}

bool write_message(const Pipe& pipe, std::span<const OutField> fields) {
  std::vector<std::array<std::uint8_t, kHeaderBytes>> headers;
  headers.reserve(fields.size() + 1);
  std::vector<iovec> parts;
  parts.reserve(2 * fields.size() + 1);
  for (const OutField& field : fields) {
    headers.push_back(header_of(field.type, field.body.size()));
    parts.push_back({headers.back().data(), kHeaderBytes});
    // writev takes what it does not change as mutable.
    parts.push_back({const_cast<std::uint8_t*>(field.body.data()), field.body.size()});
  }
  headers.push_back(header_of(Field::kEnd, 0));
  parts.push_back({headers.back().data(), kHeaderBytes});
  return write_all(pipe.fd(), std::move(parts));
}

bool write_bytes(const Pipe& pipe, std::span<const std::uint8_t> bytes) {
  return write_all(pipe.fd(), {{const_cast<std::uint8_t*>(bytes.data()), bytes.size()}});
}

}  // namespace flare::thor
