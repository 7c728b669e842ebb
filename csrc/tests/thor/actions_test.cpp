#include "thor/actions.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace flare;
using namespace flare::thor;
using nlohmann::json;

namespace {

struct Fixture {
  Simulator simulator{{}, 64, 48};
  ActionTable table;

  Fixture() {
    add_scene_actions(table);
    add_robot_actions(table);
    add_camera_actions(table);
    add_object_queries(table);
    add_path_queries(table);
  }
  Reply run(const json& action) { return execute(table, simulator, action); }
};

}  // namespace

TEST_CASE("actions that need a house fail without one, and none crashes") {
  Fixture f;
  for (const auto& [name, action] : f.table) {
    CAPTURE(name);
    const Reply reply = f.run({{"action", name}});
    CHECK(reply.action == name);
    if (!reply.is_success) CHECK_FALSE(reply.error.empty());
  }
  CHECK_FALSE(f.run({{"action", "MoveAheadQuick"}, {"moveMagnitude", 0.2}}).is_success);
}

TEST_CASE("unknown names and arguments carry Unity's codes") {
  Fixture f;
  CHECK(f.run({{"action", "Jump"}}).code == "InvalidAction");
  CHECK(f.run({{"action", "Pass"}, {"height", 2}}).code == "InvalidArgument");
  CHECK(f.run({{"action", "ChangeFOV"}}).code == "MissingArguments");
  CHECK(f.run({{"action", "ChangeFOV"}, {"fieldOfView", "wide"}}).code == "InvalidArgument");
  CHECK(f.run({{"action", "ChangeFOV"}, {"fieldOfView", 200}}).code.empty());
}

TEST_CASE("queries and refusals are patches only where the client takes them") {
  Fixture f;
  CHECK(f.run({{"action", "AssetsInDatabase"}, {"assetIds", json::array()}}).is_patch);
  CHECK(f.run({{"action", "Jump"}}).is_patch);
  CHECK_FALSE(f.run({{"action", "Pass"}}).is_patch);
  CHECK(f.run({{"action", "Initialize"}, {"fastActionEmit", false}}).is_success);
  CHECK_FALSE(f.run({{"action", "AssetsInDatabase"}, {"assetIds", json::array()}}).is_patch);
}
