// A place inside a JSON document that knows how it got there, so that every complaint can name the
// file and the key path. The path is only put together when something is wrong.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace flare::sim {

/// Parses a document; throws HouseFormatError with the byte where it stops being JSON.
nlohmann::json parse_json(std::string_view text, const std::string& source);

class JsonNode {
 public:
  JsonNode(const nlohmann::json& root, const std::string& source)
      : value_(&root), source_(&source) {}

  /// Throws HouseFormatError "<source>: <path>: <what>; <mend>".
  [[noreturn]] void fail(const std::string& what, const std::string& mend) const;

  // A child keeps a pointer to its parent, so children of temporaries are forbidden.
  [[nodiscard]] JsonNode field(const char* key) const&;
  [[nodiscard]] std::optional<JsonNode> find(const char* key) const&;  // absent or null: nullopt
  [[nodiscard]] JsonNode element(std::size_t index) const&;
  JsonNode field(const char* key) const&& = delete;
  std::optional<JsonNode> find(const char* key) const&& = delete;
  JsonNode element(std::size_t index) const&& = delete;

  [[nodiscard]] std::size_t array_size() const;  // fails unless an array
  [[nodiscard]] const std::string& string() const;
  [[nodiscard]] bool boolean() const;
  /// Fails unless a number of the closed range.
  [[nodiscard]] float number(double lowest, double highest) const;
  [[nodiscard]] bool is_string() const { return value_->is_string(); }
  [[nodiscard]] const nlohmann::json& json() const { return *value_; }
  void require_object() const;

 private:
  JsonNode(const nlohmann::json& value, const JsonNode& parent, const char* key, std::size_t index)
      : value_(&value), source_(parent.source_), parent_(&parent), key_(key), index_(index) {}
  [[nodiscard]] std::string path() const;

  const nlohmann::json* value_;
  const std::string* source_;
  const JsonNode* parent_ = nullptr;
  const char* key_ = nullptr;
  std::size_t index_ = 0;
};

}  // namespace flare::sim
