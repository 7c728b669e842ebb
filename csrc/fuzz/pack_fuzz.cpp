// Asset packs from bytes to pixels. Every input is read twice: as it is, and with its check sums
// made right, since no change would get past them otherwise.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "fuzz/fuzz_target.hpp"
#include "render/rasterizer.hpp"
#include "tests/fixtures/houses.hpp"

namespace {

using namespace flare;

constexpr int kSide = 32;  // px
constexpr std::size_t kMostDrawn = 4;

/// A file of these bytes that has no name but /proc's.
class MemoryFile {
 public:
  explicit MemoryFile(const std::vector<std::uint8_t>& bytes) : fd_(memfd_create("pack", 0)) {
    const bool is_written =
        fd_ >= 0 && write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    if (!is_written) std::abort();
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

void draw(const std::shared_ptr<const render::AssetPack>& pack) {
  fixtures::HouseBuilder builder;
  builder.add_room("Bedroom", {{0, 0}, {0, 4}, {4, 4}, {4, 0}}, {0.5F, 0.5F, 0.5F});
  for (std::size_t i = 0; i < std::min(pack->num_assets(), kMostDrawn); ++i) {
    const float x = 0.8F + 0.8F * static_cast<float>(i);
    const int object =
        builder.add_object("Thing", sim::Shape::kBox, {}, 0, x, 0.0F, 2.0F, pack->size(i));
    builder.house.objects[static_cast<std::size_t>(object)].asset_id = pack->name(i);
  }
  const auto scene = render::Scene::build(builder.house, pack);
  std::vector<std::uint8_t> rgb(std::size_t{kSide} * kSide * 3);
  render::ImageView image;
  image.width = kSide;
  image.height = kSide;
  image.rgb = rgb.data();
  render::Camera camera;
  render::Rasterizer rasterizer;
  for (const float z : {0.5F, 1.9F}) {  // before the things, and inside of them
    camera.position = {2.0F, 0.5F, z};
    rasterizer.draw(*scene, {}, camera, image);
  }
}

void read(const std::vector<std::uint8_t>& bytes) {
  const MemoryFile file(bytes);
  try {
    const auto pack = render::AssetPack::open(file.path());
    for (std::size_t i = 0; i < pack->num_assets(); ++i) (void)pack->load(i);
    draw(pack);
  } catch (const HouseFormatError&) {
    return;  // refused in words
  }
}

template <typename T>
T& at(std::vector<std::uint8_t>& bytes, std::size_t offset) {
  return *reinterpret_cast<T*>(bytes.data() + offset);  // NOLINT: vectors start aligned
}

std::uint32_t crc_of(const std::vector<std::uint8_t>& bytes, std::uint64_t offset,
                     std::uint64_t size, std::uint32_t crc = 0) {
  if (offset > bytes.size() || size > bytes.size() - offset) return crc;
  return render::crc32(std::as_bytes(std::span(bytes)).subspan(offset, size), crc);
}

/// Makes magic, version, sizes and check sums right where what they are of lies inside the file.
void repair(std::vector<std::uint8_t>& bytes) {
  if (bytes.size() < sizeof(render::PackHeader)) return;
  auto& header = at<render::PackHeader>(bytes, 0);
  header.magic = render::kPackMagic;
  header.version = render::kPackVersion;
  header.file_size = bytes.size();
  const std::size_t most = (bytes.size() - sizeof(render::PackHeader)) / sizeof(render::PackAsset);
  const std::size_t count = std::min<std::size_t>(header.num_assets, most);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t place = sizeof(render::PackHeader) + i * sizeof(render::PackAsset);
    auto& asset = at<render::PackAsset>(bytes, place);
    asset.payload_crc = crc_of(bytes, asset.payload_offset, asset.payload_size);
  }
  const std::uint32_t table =
      crc_of(bytes, sizeof(render::PackHeader), count * sizeof(render::PackAsset));
  header.table_crc = crc_of(bytes, header.names_offset, header.names_size, table);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> bytes(data, data + size);
  read(bytes);
  repair(bytes);
  read(bytes);
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned int /*seed*/) {
  return LLVMFuzzerMutate(data, size, max_size);
}
