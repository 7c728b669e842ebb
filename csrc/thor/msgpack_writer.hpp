// MessagePack maps and lists written straight into bytes: the metadata of every step.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "core/geometry.hpp"

namespace flare::thor {

/// Appends values to a buffer that is kept from message to message. Counts of maps and lists are
/// promised by the caller.
class MsgpackWriter {
 public:
  void clear() { bytes_.clear(); }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return bytes_; }

  void map(std::size_t count) { header(count, 0x80, 0xde, 0xdf); }
  void list(std::size_t count) { header(count, 0x90, 0xdc, 0xdd); }
  void nil() { put(0xc0); }
  void boolean(bool value) { put(value ? 0xc3 : 0xc2); }
  void integer(std::int64_t value) {
    if (value >= 0 && value < 128) {
      put(static_cast<std::uint8_t>(value));
    } else {
      put(0xd3);
      big_endian(static_cast<std::uint64_t>(value), 8);
    }
  }
  void number(float value) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    put(0xca);
    big_endian(bits, 4);
  }
  void number(double value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    put(0xcb);
    big_endian(bits, 8);
  }
  void text(std::string_view value) {
    if (value.size() < 32) {
      put(static_cast<std::uint8_t>(0xa0 | value.size()));
    } else {
      put(0xdb);
      big_endian(value.size(), 4);
    }
    bytes_.insert(bytes_.end(), value.begin(), value.end());
  }
  /// A value that is MessagePack already.
  void raw(std::span<const std::uint8_t> value) {
    bytes_.insert(bytes_.end(), value.begin(), value.end());
  }

  // Entries of a map.
  void entry(std::string_view key, float value) { text(key), number(value); }
  void entry(std::string_view key, double value) { text(key), number(value); }
  void entry(std::string_view key, bool value) { text(key), boolean(value); }
  void entry(std::string_view key, int value) { text(key), integer(value); }
  void entry(std::string_view key, std::string_view value) { text(key), text(value); }
  void entry(std::string_view key, const char* value) { text(key), text(value); }
  void entry(std::string_view key, Vec3 value) { text(key), vector(value); }
  void entry_nil(std::string_view key) { text(key), nil(); }
  void entry_empty(std::string_view key) { text(key), list(0); }

  /// {x, y, z}
  void vector(Vec3 value) {
    map(3);
    entry("x", value.x);
    entry("y", value.y);
    entry("z", value.z);
  }
  /// [x, y, z]
  void triple(Vec3 value) {
    list(3);
    number(value.x);
    number(value.y);
    number(value.z);
  }

 private:
  void put(std::uint8_t byte) { bytes_.push_back(byte); }
  void big_endian(std::uint64_t value, int count) {
    for (int shift = 8 * (count - 1); shift >= 0; shift -= 8) {
      put(static_cast<std::uint8_t>(value >> static_cast<unsigned>(shift)));
    }
  }
  void header(std::size_t count, std::uint8_t few, std::uint8_t some, std::uint8_t many) {
    if (count < 16) {
      put(static_cast<std::uint8_t>(few | count));
    } else if (count < 65536) {
      put(some);
      big_endian(count, 2);
    } else {
      put(many);
      big_endian(count, 4);
    }
  }

  std::vector<std::uint8_t> bytes_;
};

}  // namespace flare::thor
