#include "sim/json_node.hpp"

#include <cmath>

#include "core/error.hpp"

namespace flare::sim {

using nlohmann::json;

json parse_json(std::string_view text, const std::string& source) {
  try {
    return json::parse(text.begin(), text.end());
  } catch (const json::parse_error& error) {
    throw HouseFormatError(source + ": byte " + std::to_string(error.byte) +
                           ": not JSON from here on; check that the file was written completely");
  } catch (const json::out_of_range&) {
    throw HouseFormatError(source +
                           ": holds a number too large for a 64-bit float; write the "
                           "house's coordinates in metres");
  }
}

std::string JsonNode::path() const {
  if (parent_ == nullptr) return "";
  const std::string above = parent_->path();
  if (key_ == nullptr) return above + "[" + std::to_string(index_) + "]";
  return above.empty() ? key_ : above + "." + key_;
}

void JsonNode::fail(const std::string& what, const std::string& mend) const {
  const std::string where = path();
  throw HouseFormatError(*source_ + ": " + (where.empty() ? "document" : where) + ": " + what +
                         "; " + mend);
}

void JsonNode::require_object() const {
  if (!value_->is_object()) {
    fail(std::string("is ") + value_->type_name() + ", not an object",
         "write a JSON object {...} here");
  }
}

JsonNode JsonNode::field(const char* key) const& {
  require_object();
  const auto found = value_->find(key);
  if (found == value_->end()) {
    fail(std::string("has no key '") + key + "'", std::string("add '") + key + "'");
  }
  return {*found, *this, key, 0};
}

std::optional<JsonNode> JsonNode::find(const char* key) const& {
  require_object();
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return JsonNode{*found, *this, key, 0};
}

std::size_t JsonNode::array_size() const {
  if (!value_->is_array()) {
    fail(std::string("is ") + value_->type_name() + ", not an array",
         "write a JSON array [...] here");
  }
  return value_->size();
}

JsonNode JsonNode::element(std::size_t index) const& {
  return {(*value_)[index], *this, nullptr, index};
}

const std::string& JsonNode::string() const {
  if (!value_->is_string()) {
    fail(std::string("is ") + value_->type_name() + ", not a string", "write it in quotes");
  }
  return value_->get_ref<const std::string&>();
}

bool JsonNode::boolean() const {
  if (!value_->is_boolean()) {
    fail(std::string("is ") + value_->type_name() + ", not a boolean", "write true or false");
  }
  return value_->get<bool>();
}

float JsonNode::number(double lowest, double highest) const {
  if (!value_->is_number()) {
    fail(std::string("is ") + value_->type_name() + ", not a number", "write a plain number");
  }
  const double number = value_->get<double>();
  if (!std::isfinite(number) || number < lowest || number > highest) {
    fail("is " + value_->dump() + ", outside " + nlohmann::json(lowest).dump() + " to " +
             nlohmann::json(highest).dump(),
         "check the unit (metres, degrees) and the value");
  }
  return static_cast<float>(number);
}

}  // namespace flare::sim
