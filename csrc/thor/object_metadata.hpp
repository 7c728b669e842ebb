// What a client is told of one object.
#pragma once

#include <array>
#include <string>

#include "thor/msgpack_writer.hpp"
#include "thor/simulator.hpp"

namespace flare::thor {

/// An object where it is now, by what both forms of its metadata say.
struct ObjectView {
  const sim::Object& object;
  std::int32_t index;
  sim::Solid box;
  float yaw_deg;

  ObjectView(const Simulator& simulator, std::int32_t index_in);
  [[nodiscard]] Vec3 center() const;
  /// Extents of the box that is not turned and holds this one.
  [[nodiscard]] Vec3 aligned_size() const;
  /// The corners of the object's own box.
  [[nodiscard]] std::array<Vec3, 8> corners() const;
  [[nodiscard]] std::string reported_type() const;

 private:
  Vec3 center_;
};

/// m, from the agent's reference point to the nearest point of the box seen from above.
float distance_to_agent(const Simulator& simulator, const ObjectView& view);

/// One entry of the metadata's list of objects. @param is_visible seen and within
/// visibilityDistance
void write_object(MsgpackWriter& out, const Simulator& simulator, const ObjectView& view,
                  bool is_visible);

}  // namespace flare::thor
