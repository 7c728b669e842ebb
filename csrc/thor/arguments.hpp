// The arguments of one action, checked as Unity's dispatch checks them.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/geometry.hpp"

namespace flare::thor {

/// An action that fails: with a code the client raises ValueError whatever the caller asked for.
struct ActionError : std::runtime_error {
  ActionError(std::string code_in, const std::string& message)
      : std::runtime_error(message), code(std::move(code_in)) {}
  std::string code;  // empty: an ordinary failure
};

/// An ordinary failure: the action was understood and could not be done.
[[noreturn]] inline void fail(const std::string& message) { throw ActionError("", message); }

/// Holds a reference.
class Arguments {
 public:
  explicit Arguments(const nlohmann::json& action) : action_(action) {}

  [[nodiscard]] const nlohmann::json& json() const { return action_; }
  [[nodiscard]] std::string name() const;

  /// Refuses arguments beyond the required, the optional ones and those that every action takes,
  /// then misses those of the required that are not there.
  void check(std::initializer_list<std::string_view> required,
             std::initializer_list<std::string_view> optional = {}) const;

  [[nodiscard]] const nlohmann::json* find(std::string_view key) const;
  [[nodiscard]] double number(std::string_view key) const;
  [[nodiscard]] double number(std::string_view key, double otherwise) const;
  [[nodiscard]] bool boolean(std::string_view key, bool otherwise) const;
  [[nodiscard]] std::string text(std::string_view key) const;
  [[nodiscard]] std::vector<std::string> texts(std::string_view key) const;
  /// {x, y, z}; a coordinate left out is `otherwise`'s.
  [[nodiscard]] double coordinate(std::string_view key, const char* axis, double otherwise) const;
  [[nodiscard]] Vec3 vector(std::string_view key, Vec3 otherwise = {}) const;

 private:
  [[noreturn]] void refuse(std::string_view key) const;
  const nlohmann::json& action_;
};

}  // namespace flare::thor
