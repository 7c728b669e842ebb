#include "thor/arguments.hpp"

#include <algorithm>
#include <array>

namespace flare::thor {
namespace {

// What every action takes (ai2thor's client adds some by itself).
constexpr std::array<std::string_view, 13> kGlobal = {"sequenceId",
                                                      "action",
                                                      "agentId",
                                                      "renderImage",
                                                      "renderImageSynthesis",
                                                      "renderObjectImage",
                                                      "renderClassImage",
                                                      "renderNormalsImage",
                                                      "renderInstanceSegmentation",
                                                      "renderSemanticSegmentation",
                                                      "renderDepthImage",
                                                      "physicsSimulationParams",
                                                      "visibilityDistance"};

}  // namespace

std::string Arguments::name() const { return action_.value("action", std::string()); }

void Arguments::refuse(std::string_view key) const {
  throw ActionError("InvalidArgument",
                    "action: " + name() + " has an invalid argument: " + std::string(key));
}

void Arguments::check(std::initializer_list<std::string_view> required,
                      std::initializer_list<std::string_view> optional) const {
  const auto is_in = [](const auto& names, std::string_view key) {
    return std::find(names.begin(), names.end(), key) != names.end();
  };
  for (const auto& item : action_.items()) {
    const std::string& key = item.key();
    if (!is_in(required, key) && !is_in(optional, key) && !is_in(kGlobal, key)) refuse(key);
  }
  std::string missing;
  for (const std::string_view key : required) {
    if (find(key) == nullptr) missing += (missing.empty() ? "" : ", ") + std::string(key);
  }
  if (missing.empty()) return;
  throw ActionError("MissingArguments",
                    "action: " + name() + " is missing the following arguments: " + missing);
}

const nlohmann::json* Arguments::find(std::string_view key) const {
  const auto found = action_.find(key);
  return found == action_.end() || found->is_null() ? nullptr : &*found;
}

double Arguments::number(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr || !value->is_number()) refuse(key);
  return value->get<double>();
}

double Arguments::number(std::string_view key, double otherwise) const {
  return find(key) == nullptr ? otherwise : number(key);
}

bool Arguments::boolean(std::string_view key, bool otherwise) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) refuse(key);
  return value->get<bool>();
}

std::string Arguments::text(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr || !value->is_string()) refuse(key);
  return value->get<std::string>();
}

std::vector<std::string> Arguments::texts(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr || !value->is_array()) refuse(key);
  std::vector<std::string> out;
  for (const auto& item : *value) {
    if (!item.is_string()) refuse(key);
    out.push_back(item.get<std::string>());
  }
  return out;
}

double Arguments::coordinate(std::string_view key, const char* axis, double otherwise) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return otherwise;
  // As Unity does: a number in a vector's place fails without a code.
  if (!value->is_object()) fail("the argument " + std::string(key) + " is no map of x, y and z");
  const auto found = value->find(axis);
  if (found == value->end() || found->is_null()) return otherwise;
  if (!found->is_number()) refuse(key);
  return found->get<double>();
}

Vec3 Arguments::vector(std::string_view key, Vec3 otherwise) const {
  return {static_cast<float>(coordinate(key, "x", otherwise.x)),
          static_cast<float>(coordinate(key, "y", otherwise.y)),
          static_cast<float>(coordinate(key, "z", otherwise.z))};
}

}  // namespace flare::thor
