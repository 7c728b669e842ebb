#include "thor/simulator.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <span>
#include <sstream>
#include <utility>

#include "core/error.hpp"
#include "env/moved_objects.hpp"
#include "sim/house_loader.hpp"
#include "thor/arguments.hpp"
#include "thor/built_in.hpp"

namespace flare::thor {
namespace {

constexpr std::size_t kRecentHouses = 4;
constexpr double kCutShare = 6.0 / 396.0;  // of the width, on each side

/// Adds a row's pixels of each object; a run of one id is counted at once, four pixels at a time.
void count_row(std::span<const std::uint16_t> ids, std::span<std::int32_t> counts) {
  std::size_t x = 0;
  while (x < ids.size()) {
    const std::uint16_t id = ids[x];
    const std::array<std::uint16_t, 4> four = {id, id, id, id};
    std::size_t end = x + 1;
    while (end + four.size() <= ids.size() &&
           std::memcmp(&ids[end], four.data(), sizeof(four)) == 0) {
      end += four.size();
    }
    while (end < ids.size() && ids[end] == id) ++end;
    if (id != 0 && id <= counts.size()) counts[id - 1U] += static_cast<std::int32_t>(end - x);
    x = end;
  }
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw HouseFormatError(path + ": cannot be read; make it with flare assets build");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

Simulator::Simulator(const Options& options_in, int width_in, int height_in)
    : options(options_in),
      width(width_in),
      height(height_in),
      robot_(sim::RobotSpec::from_json(kStretchJson, "the robot stretch")) {
  std::string table;
  if (!options.assets.empty()) {
    pack_ = render::AssetPack::open(options.assets);
    table = read_text(options.assets + ".json");
  }
  library_ = sim::AssetLibrary::from_json(kLibraryJson, table);
  reset();
}

void Simulator::reset() {
  house_ = nullptr;
  pose = sim::start_pose(*robot_, {}, 0.0F);
  things = {};
  third_party.clear();
  const sim::CameraMount& first = robot_->cameras[0];
  agent_pitch_deg = first.pitch_deg;
  agent_fov_deg = first.fov_deg;
  if (robot_->cameras.size() > 1) {
    const sim::CameraMount& second = robot_->cameras[1];
    third_party.push_back(
        {{second.position, second.yaw_deg, second.pitch_deg, second.fov_deg}, true});
  }
  material_seed = light_seed = 0;
  object_filter.reset();
  touch();
}

const PreparedHouse& Simulator::house() const {
  if (!house_) fail("there is no house; call CreateHouse first");
  return *house_;
}

std::int32_t Simulator::object(const std::string& id) const {
  const auto found = house().index.find(id);
  if (found == house().index.end()) fail("object " + id + " is not in the scene");
  return found->second;
}

void Simulator::create_house(std::string_view json) {
  const auto known = std::find_if(recent_.begin(), recent_.end(),
                                  [&](const auto& entry) { return entry.first == json; });
  if (known != recent_.end()) {
    recent_.splice(recent_.begin(), recent_, known);
  } else {
    auto made = std::make_shared<PreparedHouse>();
    made->sim = std::make_shared<const sim::LoadedHouse>(
        sim::load_house(json, "the house of CreateHouse", *library_), robot_);
    made->scene = render::Scene::build(made->sim->house, pack_);
    const auto& objects = made->sim->house.objects;
    for (std::size_t i = 0; i < objects.size(); ++i) {
      made->index.emplace(objects[i].id, static_cast<std::int32_t>(i));
    }
    recent_.emplace_front(std::string(json), std::move(made));
    if (recent_.size() > kRecentHouses) recent_.pop_back();
  }
  house_ = recent_.front().second;
  const sim::AgentStart& start = house_->sim->house.start;
  pose = sim::start_pose(*robot_, {start.position.x, start.position.z}, start.yaw_deg);
  things = {};
  touch();
}

render::Camera Simulator::camera(int index) const {
  const auto mounted = [&](const sim::CameraMount& mount, float pitch_deg, float fov_deg) {
    render::Camera out;
    out.position = sim::to_world(robot_->body, pose, mount.position);
    out.yaw_deg = sim::positive_degrees(pose.yaw_deg + mount.yaw_deg);
    out.pitch_deg = pitch_deg;
    out.vertical_fov_deg = fov_deg;
    return out;
  };
  if (index == kAgentCamera) return mounted(robot_->cameras[0], agent_pitch_deg, agent_fov_deg);
  const ThirdPartyCamera& other = third_party[static_cast<std::size_t>(index)];
  if (!other.is_mounted) return other.camera;
  sim::CameraMount mount;
  mount.position = other.camera.position;
  mount.yaw_deg = other.camera.yaw_deg;
  return mounted(mount, other.camera.pitch_deg, other.camera.vertical_fov_deg);
}

void Simulator::draw(CameraImage& image, const render::Camera& view) {
  const auto pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  render::ImageView out;
  out.width = width;
  out.height = height;
  if (image.has_rgb) {
    image.rgb.resize(3 * pixels);
    out.rgb = image.rgb.data();
  }
  if (image.has_depth) {
    image.depth.resize(pixels);
    out.depth = image.depth.data();
  }
  image.ids.resize(pixels);
  out.ids = image.ids.data();
  if (!house_) {
    std::fill(image.rgb.begin(), image.rgb.end(), std::uint8_t{0});
    std::fill(image.depth.begin(), image.depth.end(), 0.0F);
    std::fill(image.ids.begin(), image.ids.end(), std::uint16_t{0});
    return;
  }
  render::SceneVariation variation;
  variation.material_seed = material_seed;
  variation.light_seed = light_seed;
  variation.moved = env::moved_objects({*house_->sim, things}, pose, moved_);
  variation.robot = env::draw_parts(*robot_, pose, parts_);
  image.rasterizer.draw(*house_->scene, variation, view, out);
  if (options.is_exact_crop) draw_middle(image, variation, view);
}

/// Columns that consumers cut off each side of an image.
int Simulator::margin() const { return static_cast<int>(std::lround(width * kCutShare)); }

/// Draws what consumers keep of an image once more, by itself, over it: a wider image's rounding
/// differs in the last digits.
void Simulator::draw_middle(CameraImage& image, const render::SceneVariation& variation,
                            const render::Camera& view) {
  const auto columns = static_cast<std::size_t>(width - 2 * margin());
  const auto rows = static_cast<std::size_t>(height);
  middle_.rgb.resize(3 * columns * rows);
  middle_.depth.resize(columns * rows);
  middle_.ids.resize(columns * rows);
  render::ImageView out;
  out.width = static_cast<int>(columns);
  out.height = height;
  if (image.has_rgb) out.rgb = middle_.rgb.data();
  if (image.has_depth) out.depth = middle_.depth.data();
  out.ids = middle_.ids.data();
  middle_.rasterizer.draw(*house_->scene, variation, view, out);
  const auto paste = [&](const auto& from, auto& to, std::size_t items) {
    for (std::size_t y = 0; y < rows; ++y) {
      const std::size_t at =
          (y * static_cast<std::size_t>(width) + static_cast<std::size_t>(margin())) * items;
      std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(y * columns * items), columns * items,
                  to.begin() + static_cast<std::ptrdiff_t>(at));
    }
  };
  if (image.has_rgb) paste(middle_.rgb, image.rgb, 3);
  if (image.has_depth) paste(middle_.depth, image.depth, 1);
  paste(middle_.ids, image.ids, 1);
}

CameraImage& Simulator::image(int camera_index, const ImageRequest& request) {
  images_.resize(third_party.size() + 1);
  CameraImage& image = images_[static_cast<std::size_t>(camera_index + 1)];
  const bool is_current = image.revision == revision_;
  if (is_current && (image.has_rgb || !request.color) && (image.has_depth || !request.depth)) {
    return image;
  }
  image.has_rgb = request.color || (is_current && image.has_rgb);
  image.has_depth = request.depth || (is_current && image.has_depth);
  draw(image, camera(camera_index));
  image.revision = revision_;
  return image;
}

std::vector<std::int32_t> Simulator::pixels(int camera_index) {
  std::vector<std::int32_t> counts(house().sim->house.objects.size());
  const CameraImage& seen = image(camera_index, {false, false, false});
  const auto columns = static_cast<std::size_t>(width - 2 * margin());
  for (int y = 0; y < height; ++y) {
    const std::ptrdiff_t start = static_cast<std::ptrdiff_t>(y) * width + margin();
    count_row({seen.ids.data() + start, columns}, counts);
  }
  return counts;
}

}  // namespace flare::thor
