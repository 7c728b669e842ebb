#include "fuzz/json_mutator.hpp"

#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/rng.hpp"

namespace flare::fuzz {
namespace {

using nlohmann::json;

// Zero, hair-thin, huge, at and beyond the limits of a house, turns.
constexpr std::array kNumbers = {0.0,    -0.0,    1e-9,   1e-4,   0.005,  -0.01, 1.0,
                                 -1.0,   2.5,     90.0,   360.0,  99.9,   100.1, 1000.0,
                                 1001.0, -1000.0, 1.0e38, 1e-300, 1.0e300};

class Mutator {
 public:
  Mutator(json& document, std::uint64_t seed) : document_(document), seed_(seed) {}

  void mutate() {
    nodes_.clear();
    collect(document_);
    json& node = *nodes_[draw(nodes_.size())];
    switch (draw(8)) {
      case 0:
        return replace(node, any());
      case 1:
        return erase_from(node);
      case 2:
        return repeat_in(node);
      case 3:
        return exchange_in(node);
      case 4:
        return replace(node, std::array<json, 6>{nullptr, true, "", json::array(), json::object(),
                                                 1}[draw(6)]);
      default:
        return change_value();
    }
  }

 private:
  std::size_t draw(std::size_t count) { return keyed_bits(seed_, draws_++, 0, 0, 0) % count; }

  void collect(json& node) {
    nodes_.push_back(&node);
    if (!node.is_structured()) return;
    for (json& child : node) collect(child);
  }

  /// A copy: what it was taken from may hold or be held by what it replaces.
  json any() { return *nodes_[draw(nodes_.size())]; }

  static void replace(json& node, const json& by) { node = by; }

  void erase_from(json& node) {
    if (!node.is_structured() || node.empty()) return;
    auto at = node.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(draw(node.size())));
    node.erase(at);
  }

  void repeat_in(json& node) {
    if (!node.is_array() || node.empty()) return;
    json copy = node[draw(node.size())];
    if (copy.is_object() && copy.contains("id") && copy["id"].is_string()) {
      copy["id"] = copy["id"].get<std::string>() + "|" + std::to_string(draw(1000));
    }
    node.push_back(std::move(copy));
  }

  void exchange_in(json& node) {
    if (!node.is_array() || node.size() < 2) return;
    std::swap(node[draw(node.size())], node[draw(node.size())]);
  }

  /// A number or a string becomes another one.
  void change_value() {
    json& node = *nodes_[draw(nodes_.size())];
    if (node.is_number()) {
      const double value = node.get<double>();
      const double step = (static_cast<double>(draw(2001)) - 1000.0) / 1000.0;
      const std::array changed = {kNumbers[draw(kNumbers.size())], value + 0.01 * step,
                                  value + step, value * (1.0 + step), -value};
      node = changed[draw(changed.size())];
    } else if (node.is_string()) {
      for (int tries = 0; tries < 16; ++tries) {
        const json other = any();
        if (other.is_string()) return replace(node, other);
      }
    }
  }

  json& document_;
  std::uint64_t seed_;
  std::uint64_t draws_ = 0;
  std::vector<json*> nodes_;
};

}  // namespace

std::string mutate_json(std::string_view text, std::uint64_t seed) {
  json document = json::parse(text.begin(), text.end(), nullptr, false);
  if (document.is_discarded()) return "";
  Mutator mutator(document, seed);
  for (std::uint64_t i = 0; i < 1 + seed % 4; ++i) mutator.mutate();
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace flare::fuzz
