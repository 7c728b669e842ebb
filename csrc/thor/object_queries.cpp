// What is where, and what the cameras see of it. What a camera sees is counted in pixels of its
// image, as the embedded world counts.
#include <algorithm>
#include <cmath>
#include <utility>

#include "render/view.hpp"
#include "thor/actions.hpp"
#include "thor/object_metadata.hpp"

namespace flare::thor {
namespace {

using nlohmann::json;

constexpr int kSamplesPerAxis = 5;       // of a box, for the share of it that is seen
constexpr float kSpawnSpacing = 0.1F;    // m, of points on top of a receptacle
constexpr double kBelowDistance = 0.05;  // m, what is this near a top stands on it

int camera_of(const Simulator& s, const Arguments& a) {
  if (a.find("thirdPartyCameraIndex") == nullptr) return Simulator::kAgentCamera;
  const double index = a.number("thirdPartyCameraIndex");
  if (index < 0.0 || index >= s.num_cameras()) fail("there is no third-party camera of that index");
  return static_cast<int>(index);
}

json get_visible_objects(Simulator& s, const Arguments& a) {
  a.check({}, {"maxDistance", "thirdPartyCameraIndex", "visibilityScheme"});
  const double farthest = a.number("maxDistance", s.visibility_distance);
  const std::vector<std::int32_t> pixels = s.pixels(camera_of(s, a));
  json out = json::array();
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    if (pixels[i] < 1) continue;
    const ObjectView view(s, static_cast<std::int32_t>(i));
    if (distance_to_agent(s, view) <= farthest) out.push_back(view.object.id);
  }
  return out;
}

json object_map(const Simulator& s, std::int32_t index, bool is_visible) {
  MsgpackWriter out;
  write_object(out, s, ObjectView(s, index), is_visible);
  return json::from_msgpack(out.bytes().begin(), out.bytes().end());
}

json get_object_metadata(Simulator& s, const Arguments& a) {
  a.check({"objectIds"});
  json out = json::array();
  for (const std::string& id : a.texts("objectIds")) {
    out.push_back(object_map(s, s.object(id), false));
  }
  return out;
}

json get_minimal_object_metadata(Simulator& s, const Arguments& a) {
  a.check({}, {"objectIds"});
  json out = json::array();
  const auto add = [&](const ObjectView& view) {
    out.push_back({{"name", view.object.id},
                   {"objectId", view.object.id},
                   {"objectType", view.reported_type()},
                   {"assetId", view.object.asset_id}});
  };
  if (a.find("objectIds") != nullptr) {
    for (const std::string& id : a.texts("objectIds")) add({s, s.object(id)});
  } else {
    const std::size_t count = s.house().sim->house.objects.size();
    for (std::size_t i = 0; i < count; ++i) add({s, static_cast<std::int32_t>(i)});
  }
  return out;
}

bool stands_on(const ObjectView& object, const ObjectView& support, double below) {
  if (object.index == support.index) return false;
  const Vec2 centre = object.box.base.centre;
  const bool is_above = length(closest_point(support.box.base, centre) - centre) == 0.0F;
  const float middle = 0.5F * (support.box.y0 + support.box.y1);
  return is_above && object.box.y0 >= middle && object.box.y0 <= support.box.y1 + below;
}

json check_what_objects_on(Simulator& s, const Arguments& a) {
  a.check({"objectIds"}, {"belowDistance"});
  const double below = a.number("belowDistance", kBelowDistance);
  const std::size_t count = s.house().sim->house.objects.size();
  json out = json::object();
  for (const std::string& id : a.texts("objectIds")) {
    const ObjectView support(s, s.object(id));
    json on = json::array();
    for (std::size_t i = 0; i < count; ++i) {
      const ObjectView object(s, static_cast<std::int32_t>(i));
      if (stands_on(object, support, below)) on.push_back(object.object.id);
    }
    out[id] = std::move(on);
  }
  return out;
}

/// Points of a grid over the rectangle of the image that holds the object; x and y in 0 to 1, y up.
json get_approx_object_mask(Simulator& s, const Arguments& a) {
  a.check({"objectId"}, {"divisions", "thirdPartyCameraIndex"});
  const auto id = static_cast<std::uint16_t>(s.object(a.text("objectId")) + 1);
  const auto divisions = static_cast<int>(a.number("divisions", 10.0));
  if (divisions < 1 || divisions > 1000) fail("divisions must be 1 to 1000");
  const CameraImage& image = s.image(camera_of(s, a), {false, false, true});
  render::PixelRect box;
  for (int y = 0; y < s.height; ++y) {
    for (int x = 0; x < s.width; ++x) {
      if (image.ids[static_cast<std::size_t>(y * s.width + x)] != id) continue;
      box = hull(box, {x, y, x + 1, y + 1});
    }
  }
  json out = json::array();
  if (box.empty()) return out;
  for (int row = 0; row < divisions; ++row) {
    for (int column = 0; column < divisions; ++column) {
      const int x = box.x0 + (2 * column + 1) * (box.x1 - box.x0) / (2 * divisions);
      const int y = box.y0 + (2 * row + 1) * (box.y1 - box.y0) / (2 * divisions);
      if (image.ids[static_cast<std::size_t>(y * s.width + x)] != id) continue;
      out.push_back({{"x", (x + 0.5) / s.width}, {"y", 1.0 - (y + 0.5) / s.height}});
    }
  }
  return out;
}

/// The share of points on the box's surface that the camera could see were the box hollow and
/// alone, at which the image shows the object.
json proportion_visible(Simulator& s, const Arguments& a) {
  a.check({"objectId"}, {"thirdPartyCameraIndex"});
  const std::int32_t index = s.object(a.text("objectId"));
  const int camera = camera_of(s, a);
  const CameraImage& image = s.image(camera, {false, false, true});
  const render::View view = render::make_view(s.camera(camera), s.width, s.height);
  const std::array<Vec3, 8> corners = ObjectView(s, index).corners();
  const Vec3 edge_x = corners[1] - corners[0];
  const Vec3 edge_y = corners[2] - corners[0];
  const Vec3 edge_z = corners[4] - corners[0];
  const auto share = [](int i) { return static_cast<float>(i) / (kSamplesPerAxis - 1); };
  int total = 0;
  int seen = 0;
  for (int i = 0; i < kSamplesPerAxis * kSamplesPerAxis * kSamplesPerAxis; ++i) {
    const std::array<int, 3> at = {i % kSamplesPerAxis, i / kSamplesPerAxis % kSamplesPerAxis,
                                   i / (kSamplesPerAxis * kSamplesPerAxis)};
    const bool is_outside = std::any_of(
        at.begin(), at.end(), [](int step) { return step == 0 || step == kSamplesPerAxis - 1; });
    if (!is_outside) continue;
    ++total;
    const Vec3 point = view.to_camera(corners[0] + edge_x * share(at[0]) + edge_y * share(at[1]) +
                                      edge_z * share(at[2]));
    if (point.z < view.near_plane) continue;
    const auto x = static_cast<int>(std::floor(view.cx + view.focal * point.x / point.z));
    const auto y = static_cast<int>(std::floor(view.cy - view.focal * point.y / point.z));
    if (x < 0 || y < 0 || x >= s.width || y >= s.height) continue;
    if (image.ids[static_cast<std::size_t>(y * s.width + x)] == index + 1) ++seen;
  }
  return static_cast<double>(seen) / total;
}

json closest_points(Simulator& s, const Arguments& a) {
  a.check({"objectId", "point"});
  const ObjectView view(s, s.object(a.text("objectId")));
  const Vec3 point = a.vector("point");
  const Vec2 flat = closest_point(view.box.base, {point.x, point.z});
  return json::array({to_json({flat.x, std::clamp(point.y, view.box.y0, view.box.y1), flat.z})});
}

json spawn_coordinates(Simulator& s, const Arguments& a) {
  a.check({"objectId"}, {"anywhere"});
  const ObjectView view(s, s.object(a.text("objectId")));
  const sim::Footprint& base = view.box.base;
  const Vec2 other = {-base.axis.z, base.axis.x};
  json out = json::array();
  for (float u = -base.half.x + 0.5F * kSpawnSpacing; u < base.half.x; u += kSpawnSpacing) {
    for (float v = -base.half.z + 0.5F * kSpawnSpacing; v < base.half.z; v += kSpawnSpacing) {
      const Vec2 at = base.centre + base.axis * u + other * v;
      out.push_back(to_json({at.x, view.box.y1, at.z}));
    }
  }
  return out;
}

json set_object_filter(Simulator& s, const Arguments& a) {
  a.check({"objectIds"});
  s.object_filter = a.texts("objectIds");
  return nullptr;
}

json reset_object_filter(Simulator& s, const Arguments& a) {
  a.check({});
  s.object_filter.reset();
  return nullptr;
}

}  // namespace

void add_object_queries(ActionTable& table) {
  table["GetVisibleObjects"] = {get_visible_objects, true};
  table["GetObjectMetadata"] = {get_object_metadata, true};
  table["GetMinimalObjectMetadata"] = {get_minimal_object_metadata, true};
  table["CheckWhatObjectsOn"] = {check_what_objects_on, true};
  table["GetApproxObjectMask"] = {get_approx_object_mask, true};
  table["ProportionOfObjectVisible"] = {proportion_visible, true};
  table["PointOnObjectsCollidersClosestToPoint"] = {closest_points, true};
  table["GetSpawnCoordinatesAboveReceptacle"] = {spawn_coordinates, true};
  table["SetObjectFilter"] = {set_object_filter, true};
  table["ResetObjectFilter"] = {reset_object_filter};
}

}  // namespace flare::thor
