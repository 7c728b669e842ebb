// The actions a client may send: what each takes, does and answers.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>

#include "thor/arguments.hpp"
#include "thor/simulator.hpp"

namespace flare::thor {

/// Changes the simulator or asks it; returns actionReturn. Throws ActionError.
using Handler = nlohmann::json (*)(Simulator&, const Arguments&);

struct Action {
  Handler handler;
  bool is_query = false;  // answered without new images where fastActionEmit allows
};

using ActionTable = std::unordered_map<std::string, Action>;

void add_scene_actions(ActionTable& table);   // start-up, houses, assets, looks
void add_robot_actions(ActionTable& table);   // base, arm, hand
void add_camera_actions(ActionTable& table);  // the robot's cameras and added ones
void add_object_queries(ActionTable& table);  // what is where, what is seen
void add_path_queries(ActionTable& table);    // where the robot can go

/// {x, y, z}
nlohmann::json to_json(Vec3 v);

/// What became of an action.
struct Reply {
  std::string action;
  bool is_success = true;
  bool is_patch = false;
  std::string error;  // errorMessage
  std::string code;   // errorCode, empty for none
  nlohmann::json value;
};

/// Executes an action of the table; an unknown one, a wrong argument and what cannot be done are
/// told in the reply.
Reply execute(const ActionTable& table, Simulator& simulator, const nlohmann::json& action);

}  // namespace flare::thor
