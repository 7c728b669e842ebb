#include "thor/actions.hpp"

#include "core/error.hpp"

namespace flare::thor {

nlohmann::json to_json(Vec3 v) { return {{"x", v.x}, {"y", v.y}, {"z", v.z}}; }

Reply execute(const ActionTable& table, Simulator& simulator, const nlohmann::json& action) {
  const Arguments arguments(action);
  Reply reply;
  reply.action = arguments.name();
  const auto found = table.find(reply.action);
  try {
    if (found == table.end()) {
      throw ActionError("InvalidAction", "Invalid action: " + reply.action);
    }
    reply.value = found->second.handler(simulator, arguments);
    reply.is_patch = found->second.is_query;
  } catch (const ActionError& error) {
    reply.is_success = false;
    reply.error = error.what();
    reply.code = error.code;
    reply.is_patch = !error.code.empty() || (found != table.end() && found->second.is_query);
  } catch (const FlareError& error) {  // a house that does not load
    reply.is_success = false;
    reply.error = error.what();
  }
  reply.is_patch = reply.is_patch && simulator.is_fast;
  return reply;
}

}  // namespace flare::thor
