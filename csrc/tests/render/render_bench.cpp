// Frames per second of the renderer in real houses, and a search for poses that break it.
//
//   zcat houses.jsonl.gz | render_bench flare/assets/library.json [width height poses check]
//
// One "step" is two images, from the navigation and the manipulation camera, with colours, and the
// pixels of one target counted. Time is the processor time of this thread, so that other work on
// the machine does not count. With `check` every image is compared with one drawn without culling.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "sim/house_loader.hpp"
#include "sim/polygon.hpp"
#include "tests/render/picture.hpp"

namespace flare::render {
namespace {

struct Settings {
  int width = 84, height = 48, poses = 200;
  bool checks = false;
};

double seconds_of_this_thread() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Is the point 0.2 m from every wall, as a robot's camera is?
bool is_clear(const sim::House& house, Vec2 at) {
  for (const sim::Wall& wall : house.walls) {
    const Vec2 d = wall.p1 - wall.p0;
    const float t = std::clamp(dot(at - wall.p0, d) / dot(d, d), 0.0F, 1.0F);
    if (!wall.empty && length(at - (wall.p0 + d * t)) < 0.2F) return false;
  }
  return true;
}

std::vector<Camera> make_poses(const sim::House& house, int count) {
  std::vector<Camera> poses;
  for (std::uint64_t i = 0; static_cast<int>(poses.size()) < count && i < 100000; ++i) {
    Camera camera = random_camera(i, house.bounds.min, house.bounds.max);
    const Vec2 at = {camera.position.x, camera.position.z};
    bool inside = false;
    for (const sim::Room& room : house.rooms)
      inside = inside || sim::polygon_contains(room.polygon, at);
    if (!inside || !is_clear(house, at)) continue;
    camera.position.y = 1.446F;
    camera.pitch_deg = 27.0F;
    poses.push_back(camera);
  }
  return poses;
}

Camera manipulation_camera(Camera camera) {
  camera.position.y = 1.425F;
  camera.pitch_deg = 33.0F;
  camera.yaw_deg += 90.0F;
  return camera;
}

struct Totals {
  double build_s = 0.0, draw_s = 0.0;
  long houses = 0, steps = 0, uncovered = 0, on_edges = 0, wrong = 0;
  std::size_t bytes = 0, triangles = 0;
};

void compare(Rasterizer& complete, const Scene& scene, const Camera& camera, Picture& culled,
             Picture& full, Rasterizer& rasterizer, Totals& totals) {
  culled.draw(rasterizer, scene, camera);
  full.draw(complete, scene, camera);
  long edges = 0;
  long wrong = 0;
  for (std::size_t k = 0; k < culled.depth.size(); ++k) {
    totals.uncovered += culled.depth[k] > 0.0F ? 0 : 1;
    const bool same = culled.depth[k] == full.depth[k] && culled.ids[k] == full.ids[k];
    const bool near = std::abs(culled.depth[k] - full.depth[k]) < 0.005F * full.depth[k];
    edges += !same && near ? 1 : 0;
    wrong += !same && !near ? 1 : 0;
  }
  totals.on_edges += edges;
  totals.wrong += wrong;
  if (wrong > 0) {
    std::printf("  differs in %ld pixels: %.3f %.3f %.3f yaw %.2f pitch %.0f\n", wrong,
                static_cast<double>(camera.position.x), static_cast<double>(camera.position.y),
                static_cast<double>(camera.position.z), static_cast<double>(camera.yaw_deg),
                static_cast<double>(camera.pitch_deg));
  }
}

void run_house(const sim::House& house, const Settings& settings, Totals& totals) {
  const double t0 = seconds_of_this_thread();
  const auto scene = Scene::build(house);
  totals.build_s += seconds_of_this_thread() - t0;
  const std::vector<Camera> poses = make_poses(house, settings.poses);
  Rasterizer rasterizer;
  Rasterizer complete;
  complete.set_culling(false);
  Picture picture(settings.width, settings.height);
  Picture other(settings.width, settings.height);
  const ImageView view = {settings.width, settings.height, picture.rgb.data(), nullptr, nullptr};
  const double t1 = seconds_of_this_thread();
  for (const Camera& camera : poses) {
    rasterizer.draw(*scene, {}, camera, view);
    std::int32_t pixels = 0;
    const auto target = static_cast<std::int32_t>(totals.steps % 7);
    rasterizer.count_pixels({&target, 1}, {&pixels, 1});
    rasterizer.draw(*scene, {}, manipulation_camera(camera), view);
  }
  totals.draw_s += seconds_of_this_thread() - t1;
  totals.steps += static_cast<long>(poses.size());
  ++totals.houses;
  totals.bytes += scene->bytes();
  totals.triangles += scene->num_triangles();
  if (!settings.checks) return;
  for (const Camera& camera : poses) {
    compare(complete, *scene, camera, picture, other, rasterizer, totals);
  }
}

std::string read_file(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

int run(const char* library_path, const Settings& settings) {
  const auto library = sim::AssetLibrary::from_json(read_file(library_path));
  Totals totals;
  std::string line;
  for (int number = 0; std::getline(std::cin, line); ++number) {
    const sim::House house =
        sim::load_house(line, "standard input line " + std::to_string(number), *library);
    run_house(house, settings, totals);
  }
  if (totals.houses == 0) return 1;
  const auto n = static_cast<double>(totals.houses);
  std::printf(
      "%dx%d, %ld houses, %ld steps: %.0f two-camera steps/s, %.1f us a frame; scene %.2f ms, "
      "%.2f MB, %.0f triangles\n",
      settings.width, settings.height, totals.houses, totals.steps,
      static_cast<double>(totals.steps) / totals.draw_s,
      5e5 * totals.draw_s / static_cast<double>(totals.steps), 1e3 * totals.build_s / n,
      1e-6 * static_cast<double>(totals.bytes) / n, static_cast<double>(totals.triangles) / n);
  if (settings.checks) {
    std::printf("%ld pixels differ, %ld on edges; %ld uncovered\n", totals.wrong, totals.on_edges,
                totals.uncovered);
  }
  return totals.wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace flare::render

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: render_bench library.json [width height poses check] < houses.jsonl\n",
               stderr);
    return 2;
  }
  flare::render::Settings settings;
  if (argc > 3) settings.width = std::atoi(argv[2]), settings.height = std::atoi(argv[3]);
  if (argc > 4) settings.poses = std::atoi(argv[4]);
  settings.checks = argc > 5;
  return flare::render::run(argv[1], settings);
}
