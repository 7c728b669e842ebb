// Start-up, houses, assets and looks.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "thor/actions.hpp"

namespace flare::thor {
namespace {

using nlohmann::json;

void sleep_seconds(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

json initialize(Simulator& s, const Arguments& a) {
  // Unity takes any parameter here; those it does not know of are the caller's own.
  const json* mode = a.find("agentMode");
  if (mode != nullptr && *mode != s.robot().name) {
    fail("agentMode " + mode->dump() + " is not simulated; use \"" + s.robot().name + "\"");
  }
  s.grid_size = a.number("gridSize", 0.25);
  s.visibility_distance = a.number("visibilityDistance", 1.5);
  s.is_fast = a.boolean("fastActionEmit", true);
  s.wants_depth = a.boolean("renderDepthImage", false);
  s.wants_ids = a.boolean("renderInstanceSegmentation", false);
  if (a.find("fieldOfView") != nullptr) {
    s.agent_fov_deg = static_cast<float>(a.number("fieldOfView"));
  }
  s.touch();
  return {{"cameraNearPlane", Simulator::kNearPlane}, {"cameraFarPlane", Simulator::kFarPlane}};
}

json reset(Simulator& s, const Arguments& a) {
  const std::string scene = a.text("sceneName");
  if (scene != "Procedural") fail("there is no scene " + scene + "; the only one is Procedural");
  s.reset();
  return nullptr;
}

json get_scenes_in_build(Simulator&, const Arguments&) { return json::array({"Procedural"}); }

json change_resolution(Simulator& s, const Arguments& a) {
  a.check({"x", "y"});
  const auto side = [&](const char* key) {
    const double value = a.number(key);
    if (value < 1.0 || value > 8192.0) fail(std::string(key) + " must be 1 to 8192 pixels");
    return static_cast<int>(value);
  };
  const int x = side("x");
  s.height = side("y");
  s.width = x;
  s.touch();
  return nullptr;
}

json change_quality(Simulator&, const Arguments& a) {
  a.check({"quality"});
  return nullptr;  // there is one way to draw
}

json create_house(Simulator& s, const Arguments& a) {
  a.check({"house"});
  const json& house = *a.find("house");
  if (!house.is_object()) fail("the argument house is no house document");
  if (s.options.create_house_delay > 0.0) sleep_seconds(s.options.create_house_delay);
  s.create_house(house.dump());
  return nullptr;  // the client takes anything else for init parameters
}

json assets_in_database(Simulator& s, const Arguments& a) {
  a.check({"assetIds"}, {"updateProceduralLRUCache"});
  json out = json::object();
  for (const std::string& id : a.texts("assetIds")) {
    out[id] = s.library().find_size(id) != nullptr || s.runtime_assets.contains(id);
  }
  return out;
}

json delete_from_cache(Simulator& s, const Arguments& a) {
  a.check({"assetLimit"});
  const double limit = a.number("assetLimit");
  while (!s.runtime_assets.empty() && static_cast<double>(s.runtime_assets.size()) > limit) {
    s.runtime_assets.erase(s.runtime_assets.begin());
  }
  return nullptr;
}

/// A list of an asset; fails without one.
const json& list_of(const json& asset, const char* key) {
  const auto found = asset.find(key);
  if (found == asset.end() || !found->is_array() || found->empty()) {
    fail(std::string("the asset has no list ") + key);
  }
  return *found;
}

void check_points(const json& points, const char* key, const std::vector<const char*>& axes) {
  for (const json& point : points) {
    for (const char* axis : axes) {
      const auto found = point.find(axis);
      if (found == point.end() || !found->is_number()) {
        fail(std::string("the asset's ") + key + " lack a number " + axis);
      }
    }
  }
}

void check_triangles(const json& mesh, std::size_t num_vertices) {
  const json& triangles = list_of(mesh, "triangles");
  const bool is_good = triangles.size() % 3 == 0 &&
                       std::all_of(triangles.begin(), triangles.end(), [&](const json& index) {
                         return index.is_number_unsigned() && index < num_vertices;
                       });
  if (!is_good) fail("the asset's triangles name vertices that it does not have");
}

void check_annotations(const json* annotations) {
  for (const char* key : {"objectType", "primaryProperty", "secondaryProperties"}) {
    if (annotations == nullptr || !annotations->contains(key)) {
      fail(std::string("the asset's annotations lack ") + key);
    }
  }
}

/// What Unity needs of an asset to make it.
void check_asset(const json& asset) {
  const json& vertices = list_of(asset, "vertices");
  check_points(vertices, "vertices", {"x", "y", "z"});
  check_points(list_of(asset, "normals"), "normals", {"x", "y", "z"});
  check_points(list_of(asset, "uvs"), "uvs", {"x", "y"});
  if (asset["normals"].size() != vertices.size() || asset["uvs"].size() != vertices.size()) {
    fail("the asset has another number of vertices than of normals or uvs");
  }
  check_triangles(asset, vertices.size());
  check_points(list_of(asset, "visibilityPoints"), "visibilityPoints", {"x", "y", "z"});
  for (const json& part : list_of(asset, "colliders")) {
    check_points(list_of(part, "vertices"), "colliders", {"x", "y", "z"});
    check_triangles(part, part["vertices"].size());
  }
  for (const char* key : {"albedoTexturePath", "normalTexturePath", "emissionTexturePath"}) {
    const std::string path = asset.value(key, "");
    if (!std::filesystem::is_regular_file(path)) {
      fail(std::string("the asset's ") + key + " '" + path + "' is no file");
    }
  }
  const auto annotations = asset.find("annotations");
  check_annotations(annotations == asset.end() ? nullptr : &*annotations);
}

/// Both forms of the action: with the whole asset, or with the folder it lies in.
json create_runtime_asset(Simulator& s, const Arguments& a) {
  a.check({}, {"asset", "id", "dir", "extension", "annotations", "serializable"});
  if (const json* asset = a.find("asset")) {
    const auto name = asset->find("name");
    if (name == asset->end() || !name->is_string()) fail("the asset has no name");
    check_asset(*asset);
    s.runtime_assets.insert(name->get<std::string>());
    return nullptr;
  }
  check_annotations(a.find("annotations"));
  const std::string id = a.text("id");
  const auto file = std::filesystem::path(a.text("dir")) / id / (id + a.text("extension"));
  if (!std::filesystem::is_regular_file(file)) fail("there is no asset file " + file.string());
  s.runtime_assets.insert(id);
  return nullptr;
}

json set_random_seed(Simulator& s, const Arguments& a) {
  a.check({"seed"});
  const json& seed = *a.find("seed");
  if (!seed.is_number_unsigned()) fail("seed must be a number from 0 without a fraction");
  s.random_seed = seed.get<std::uint64_t>();
  return nullptr;
}

json randomize_materials(Simulator& s, const Arguments& a) {
  a.check({}, {"useTrainMaterials", "useValMaterials", "useTestMaterials", "useExternalMaterials",
               "inRoomTypes"});
  s.material_seed = s.random_seed;
  s.touch();
  return {{"useTrainMaterials", a.boolean("useTrainMaterials", true)},
          {"useValMaterials", a.boolean("useValMaterials", true)},
          {"useTestMaterials", a.boolean("useTestMaterials", true)},
          {"useExternalMaterials", a.boolean("useExternalMaterials", true)}};
}

json reset_materials(Simulator& s, const Arguments& a) {
  a.check({});
  s.material_seed = 0;
  s.touch();
  return nullptr;
}

json randomize_lighting(Simulator& s, const Arguments& a) {
  a.check({}, {"brightness", "randomizeColor", "hue", "saturation", "synchronized"});
  s.light_seed = s.random_seed;
  s.touch();
  return nullptr;
}

json reset_lighting(Simulator& s, const Arguments& a) {
  a.check({});
  s.light_seed = 0;
  s.touch();
  return nullptr;
}

json advance_physics(Simulator&, const Arguments& a) {
  a.check({}, {"simSeconds", "timeStep", "allowAutoSimulation"});
  return nullptr;  // nothing moves by itself
}

json pass(Simulator&, const Arguments& a) {
  a.check({});
  return nullptr;
}

json sleep_action(Simulator&, const Arguments& a) {
  a.check({"seconds"});
  sleep_seconds(a.number("seconds"));
  return nullptr;
}

json reflect(Simulator&, const Arguments& a) {
  a.check({"rvalue"});
  return *a.find("rvalue");
}

}  // namespace

void add_scene_actions(ActionTable& table) {
  table["Initialize"] = {initialize};
  table["Reset"] = {reset};
  table["GetScenesInBuild"] = {get_scenes_in_build, true};
  table["ChangeResolution"] = {change_resolution};
  table["ChangeQuality"] = {change_quality};
  table["CreateHouse"] = {create_house};
  table["AssetsInDatabase"] = {assets_in_database, true};
  table["DeleteLRUFromProceduralCache"] = {delete_from_cache, true};
  table["CreateRuntimeAsset"] = {create_runtime_asset, true};
  table["SetRandomSeed"] = {set_random_seed};
  table["RandomizeMaterials"] = {randomize_materials};
  table["ResetMaterials"] = {reset_materials};
  table["RandomizeLighting"] = {randomize_lighting};
  table["ResetLighting"] = {reset_lighting};
  table["AdvancePhysicsStep"] = {advance_physics};
  table["Pass"] = {pass};
  table["Done"] = {pass};
  table["Sleep"] = {sleep_action};
  table["TestFastEmit"] = {reflect, true};
  table["TestActionReflectParam"] = {reflect};
}

}  // namespace flare::thor
