// The two named pipes between a client and its simulator, and the fields that messages on them are
// made of: a type (1 byte), a length (4 bytes, big-endian) and a body; type 255 ends a message.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace flare::thor {

constexpr std::size_t kHeaderBytes = 5;

enum class Field : std::uint8_t {
  kMetadata = 1,
  kAction = 2,
  kImage = 4,
  kDepth = 5,
  kIds = 9,
  kThirdPartyImage = 10,
  kMetadataPatch = 11,
  kThirdPartyDepth = 12,
  kThirdPartyIds = 14,
  kEnd = 255,
};

/// One field to send; the body stays the caller's until it is sent.
struct OutField {
  Field type;
  std::span<const std::uint8_t> body;
};

/// An open pipe, closed with the object.
class Pipe {
 public:
  Pipe(const std::string& path, bool for_writing);
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  Pipe(Pipe&& other) noexcept;
  Pipe& operator=(Pipe&&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  /// Enlarges the pipe's buffer as far as the system allows, so that a frame passes in fewer turns.
  void enlarge() const;

 private:
  int fd_ = -1;
};

/// Reads one message and returns its action field's body; nothing at the end of the file. Throws
/// std::runtime_error for bytes that are no message.
std::optional<std::string> read_action(const Pipe& pipe);

/// Writes messages without copying them: the reader copies from this process's own pages. What a
/// message was made of must stay as it is until the reader has answered.
class MessageWriter {
 public:
  /// Writes the fields and the end mark. False if nobody reads any more.
  bool write(const Pipe& pipe, std::span<const OutField> fields);

 private:
  std::vector<std::array<std::uint8_t, kHeaderBytes>> headers_;
  std::vector<iovec> parts_;
  bool may_lend_ = true;
};

/// Writes bytes as they are: what a broken simulator sends.
bool write_bytes(const Pipe& pipe, std::span<const std::uint8_t> bytes);

}  // namespace flare::thor
