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

/// Writes all, in as few calls as the pipe takes; `parts` are used up. False for a closed pipe.
/// With `may_lend` the pipe holds the pages of `parts` themselves in place of copies of them; it is
/// cleared where the system knows no such call.
bool write_all(int fd, std::vector<iovec>& parts, bool& may_lend) {
  std::size_t first = 0;
  while (first < parts.size()) {
    const std::size_t count = parts.size() - first;
    const ssize_t written = may_lend ? vmsplice(fd, parts.data() + first, count, 0)
                                     : writev(fd, parts.data() + first, static_cast<int>(count));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && may_lend && errno != EPIPE) {
      may_lend = false;
      continue;
    }
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

bool MessageWriter::write(const Pipe& pipe, std::span<const OutField> fields) {
  headers_.clear();
  headers_.reserve(fields.size() + 1);  // what parts_ points at does not move
  parts_.clear();
  for (const OutField& field : fields) {
    headers_.push_back(header_of(field.type, field.body.size()));
    parts_.push_back({headers_.back().data(), kHeaderBytes});
    // The calls take what they do not change as mutable.
    parts_.push_back({const_cast<std::uint8_t*>(field.body.data()), field.body.size()});
  }
  headers_.push_back(header_of(Field::kEnd, 0));
  parts_.push_back({headers_.back().data(), kHeaderBytes});
  return write_all(pipe.fd(), parts_, may_lend_);
}

bool write_bytes(const Pipe& pipe, std::span<const std::uint8_t> bytes) {
  std::vector<iovec> part = {{const_cast<std::uint8_t*>(bytes.data()), bytes.size()}};
  bool may_lend = false;
  return write_all(pipe.fd(), part, may_lend);
}

}  // namespace flare::thor
