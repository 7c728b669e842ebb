// What the program simulates: one house, one robot, its cameras, and what the client has asked to
// see of them. The actions (actions.hpp) change it, metadata and images are written from it.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "env/moved_objects.hpp"
#include "env/robot_parts.hpp"
#include "render/rasterizer.hpp"
#include "sim/asset_library.hpp"
#include "sim/surroundings.hpp"
#include "sim/world.hpp"

namespace flare::thor {

/// What a start of the program decides.
struct Options {
  std::string assets;               // an asset pack, empty for proxies
  double create_house_delay = 0.0;  // s, CreateHouse sleeps that long, as Unity loads assets
  double frame_delay = 0.0;         // s, a reply with images takes that much longer, as Unity draws
  bool is_rgba = false;             // frames with a fourth channel, as CloudRendering sends
  bool is_exact_crop = false;       // the columns consumers keep are drawn by themselves
  int device = -1;                  // of -force-device-index
};

/// A camera beside the robot's first: the robot's second one, or one that the client added.
struct ThirdPartyCamera {
  render::Camera camera;  // in the world; of a mounted one relative to the agent
  bool is_mounted = false;
};

/// The newest image of one camera and what was drawn of it.
struct CameraImage {
  render::Rasterizer rasterizer;
  std::vector<std::uint8_t> rgb;            // [height, width, 3], first row on top
  std::vector<float> depth;                 // [height, width] m
  std::vector<std::uint16_t> ids;           // [height, width]
  std::uint64_t revision = 0;               // of the simulator when it was drawn; 0: never
  std::vector<std::uint8_t> message;        // rgb as it is sent
  std::uint64_t message_revision = 0;       // of the image that `message` holds
  bool has_rgb = false, has_depth = false;  // ids there always are
};

/// Which images an action's reply carries.
struct ImageRequest {
  bool color = true, depth = false, ids = false;
};

struct PreparedHouse {
  std::shared_ptr<const sim::LoadedHouse> sim;
  std::shared_ptr<const render::Scene> scene;
  std::unordered_map<std::string, std::int32_t> index;  // of an object id in House::objects
};

class Simulator {
 public:
  static constexpr int kAgentCamera = -1;  // in place of a third-party camera's index
  static constexpr float kNearPlane = 0.01F, kFarPlane = 20.0F;  // m

  Simulator(const Options& options, int width, int height);

  /// No house, the robot's cameras as they are built, no added ones.
  void reset();
  /// Plays the house of a JSON text; one that was played lately is not read again. Throws
  /// HouseFormatError and changes nothing.
  void create_house(std::string_view json);

  [[nodiscard]] bool has_house() const { return house_ != nullptr; }
  /// Throws ActionError without a house.
  [[nodiscard]] const PreparedHouse& house() const;
  [[nodiscard]] const sim::RobotSpec& robot() const { return *robot_; }
  [[nodiscard]] const sim::AssetLibrary& library() const { return *library_; }
  [[nodiscard]] sim::Surroundings surroundings() const { return {*house().sim, things}; }
  /// Index of an object. Throws ActionError for an id the house does not have.
  [[nodiscard]] std::int32_t object(const std::string& id) const;

  /// Whatever is drawn from now on differs from what was drawn before.
  void touch() { ++revision_; }

  /// The image of a camera with at least what is asked for; drawn if it is not up to date.
  CameraImage& image(int camera, const ImageRequest& request);
  [[nodiscard]] render::Camera camera(int index) const;
  /// Pixels of each object in what consumers keep of a camera's image, [num_objects]: the original
  /// cuts 6 of 396 columns off each side, and what is seen there only is not seen.
  std::vector<std::int32_t> pixels(int camera);
  [[nodiscard]] int num_cameras() const { return static_cast<int>(third_party.size()); }

  Options options;
  int width, height;  // px
  sim::Pose pose;
  sim::Rearrangement things;
  float agent_pitch_deg = 0.0F, agent_fov_deg = 0.0F;  // of the robot's first camera
  std::vector<ThirdPartyCamera> third_party;
  std::uint64_t material_seed = 0, light_seed = 0;        // as render::SceneVariation
  std::uint64_t random_seed = 1;                          // of the next randomisation
  std::optional<std::vector<std::string>> object_filter;  // ids to list; empty: all
  std::set<std::string, std::less<>> runtime_assets;      // made by CreateRuntimeAsset
  double gripper_openness = 0.0;
  double grid_size = 0.25;           // m
  double visibility_distance = 1.5;  // m
  bool is_fast = true;               // fastActionEmit: queries are answered by patches
  bool wants_depth = false, wants_ids = false;

 private:
  void draw(CameraImage& image, const render::Camera& view);
  [[nodiscard]] int margin() const;
  void draw_middle(CameraImage& image, const render::SceneVariation& variation,
                   const render::Camera& view);

  std::shared_ptr<const sim::RobotSpec> robot_;
  std::shared_ptr<const sim::AssetLibrary> library_;
  std::shared_ptr<const render::AssetPack> pack_;
  std::shared_ptr<const PreparedHouse> house_;
  std::list<std::pair<std::string, std::shared_ptr<const PreparedHouse>>> recent_;  // newest first
  std::vector<CameraImage> images_;  // the agent's, then the third-party cameras'
  CameraImage middle_;               // scratch of draw_middle
  std::uint64_t revision_ = 1;
  env::RobotParts parts_;
  env::MovedObjects moved_;
};

}  // namespace flare::thor
