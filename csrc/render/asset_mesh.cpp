#include "render/asset_mesh.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.hpp"
#include "render/simd.hpp"

namespace flare::render {
namespace {

static_assert(std::endian::native == std::endian::little, "the pack is read as it lies");

constexpr float kMostRepeats = 16.0F;
constexpr float kReach = 0.51F;  // box sizes from the centre, as far as culling looks

class FileDescriptor {
 public:
  explicit FileDescriptor(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void fail(const std::string& path, const std::string& key, const std::string& what) {
  throw HouseFormatError(path + ": " + key + ": " + what + "; build the asset pack again");
}

using CrcTables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr CrcTables make_crc_tables() {
  CrcTables tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1U) != 0 ? 0xEDB88320U ^ (c >> 1U) : c >> 1U;
    tables[0][i] = c;
  }
  for (std::size_t t = 1; t < 8; ++t) {
    for (std::size_t i = 0; i < 256; ++i) {
      const std::uint32_t c = tables[t - 1][i];
      tables[t][i] = tables[0][c & 255U] ^ (c >> 8U);
    }
  }
  return tables;
}

constexpr CrcTables kCrc = make_crc_tables();

/// Hands out arrays of a payload, each checked to lie inside.
class PayloadReader {
 public:
  PayloadReader(std::span<const std::byte> payload, const std::string& path, std::string name)
      : payload_(payload), path_(path), name_(std::move(name)) {}

  [[noreturn]] void fail(const std::string& what) const {
    render::fail(path_, "asset '" + name_ + "'", what);
  }

  void require(bool holds, const char* what) const {
    if (!holds) fail(what);
  }

  template <typename T>
  std::span<const T> take(std::uint64_t& offset, std::uint64_t count) const {
    require(offset % alignof(T) == 0 && offset <= payload_.size() &&
                count <= (payload_.size() - offset) / sizeof(T),
            "an array reaches beyond its end");
    const std::byte* at = payload_.data() + offset;
    offset += count * sizeof(T);
    return {reinterpret_cast<const T*>(at),
            count};  // NOLINT: the mapping is aligned, checked above
  }

 private:
  std::span<const std::byte> payload_;
  const std::string& path_;
  std::string name_;
};

bool all_within(std::span<const float> values, float limit) {
  return std::all_of(values.begin(), values.end(),
                     [limit](float v) { return std::abs(v) <= limit; });  // false for a NaN
}

AssetLod read_lod(const PayloadReader& reader, const PackLod& lod, Vec3 size) {
  reader.require(
      lod.num_vertices > 0 && lod.num_vertices <= kMostVertices && lod.num_vertices % kLanes == 0,
      "a level's number of vertices is no multiple of 8 in [8, 65536]");
  reader.require(lod.num_triangles <= kMostTriangles, "a level has more than 65536 triangles");
  reader.require(lod.error >= 0.0F && lod.error <= 2.0F * kLargestAsset,
                 "a level's error is no length");
  reader.require(lod.data_offset % 8 == 0, "a level does not start at a multiple of 8");
  AssetLod out;
  out.error = lod.error;
  std::uint64_t at = lod.data_offset;
  out.x = reader.take<float>(at, lod.num_vertices);
  out.y = reader.take<float>(at, lod.num_vertices);
  out.z = reader.take<float>(at, lod.num_vertices);
  out.u = reader.take<float>(at, lod.num_vertices);
  out.v = reader.take<float>(at, lod.num_vertices);
  out.normals = reader.take<std::int8_t>(at, std::uint64_t{4} * lod.num_vertices);
  out.indices = reader.take<std::uint16_t>(at, std::uint64_t{3} * lod.num_triangles);
  reader.require(all_within(out.x, kReach * size.x) && all_within(out.y, kReach * size.y) &&
                     all_within(out.z, kReach * size.z),
                 "a vertex lies outside of the box");
  reader.require(all_within(out.u, kMostRepeats) && all_within(out.v, kMostRepeats),
                 "a texture coordinate is not in [-16, 16]");
  reader.require(std::all_of(out.indices.begin(), out.indices.end(),
                             [&](std::uint16_t i) { return i < lod.num_vertices; }),
                 "a triangle has a corner that does not exist");
  return out;
}

AssetTexture read_texture(const PayloadReader& reader, const PackAsset& asset) {
  std::uint32_t width = asset.texture_width;
  std::uint32_t height = asset.texture_height;
  const auto is_side = [](std::uint32_t s) {
    return std::has_single_bit(s) && s <= kLargestTexture;
  };
  reader.require(is_side(width) && is_side(height),
                 "a side of the texture is no power of two up to 1024");
  AssetTexture texture;
  std::uint64_t at = asset.texture_offset;
  while (true) {
    AssetTexture::Level& level = texture.levels[texture.num_levels++];
    level.texels = reader.take<std::uint32_t>(at, std::uint64_t{width} * height).data();
    level.width_mask = width - 1;
    level.height_mask = height - 1;
    level.width_bits = static_cast<std::uint32_t>(std::countr_zero(width));
    if (width == 1 && height == 1) break;
    width = std::max(1U, width / 2);
    height = std::max(1U, height / 2);
  }
  const std::uint32_t* const first = texture.levels[0].texels;
  const std::uint32_t* const last = texture.levels[texture.num_levels - 1].texels + 1;
  reader.require(std::all_of(first, last, [](std::uint32_t t) { return t <= 0xFFFFFFU; }),
                 "a texel is not 0x00BBGGRR");
  return texture;
}

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc) {
  std::uint32_t c = ~crc;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {  // eight table look-ups that do not wait for each other
    std::array<std::uint32_t, 2> word{};
    std::memcpy(word.data(), bytes.data() + i, 8);
    const std::uint32_t a = word[0] ^ c;
    const std::uint32_t b = word[1];
    c = kCrc[7][a & 255U] ^ kCrc[6][(a >> 8U) & 255U] ^ kCrc[5][(a >> 16U) & 255U] ^
        kCrc[4][a >> 24U] ^ kCrc[3][b & 255U] ^ kCrc[2][(b >> 8U) & 255U] ^
        kCrc[1][(b >> 16U) & 255U] ^ kCrc[0][b >> 24U];
  }
  for (; i < bytes.size(); ++i) {
    c = kCrc[0][(c ^ static_cast<std::uint32_t>(bytes[i])) & 255U] ^ (c >> 8U);
  }
  return ~c;
}

std::shared_ptr<const AssetPack> AssetPack::open(const std::string& path) {
  const FileDescriptor file(path);
  struct stat info{};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    throw HouseFormatError(path + ": cannot be read as a file; check the path");
  }
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size < sizeof(PackHeader)) fail(path, "header", "the file is too short for one");
  void* const mapping = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (mapping == MAP_FAILED) {
    throw HouseFormatError(path + ": cannot be mapped into memory; check ulimit -v");
  }
  const std::shared_ptr<AssetPack> pack(
      new AssetPack());  // NOLINT(cppcoreguidelines-owning-memory)
  pack->path_ = path;
  pack->bytes_ = {static_cast<const std::byte*>(mapping), size};
  PackHeader header{};
  std::memcpy(&header, mapping, sizeof(header));
  if (header.magic != kPackMagic) fail(path, "magic", "this is no asset pack");
  if (header.version != kPackVersion) {
    fail(path, "version",
         "is " + std::to_string(header.version) + ", not " + std::to_string(kPackVersion));
  }
  if (header.file_size != size) {
    fail(path, "file_size",
         "is " + std::to_string(header.file_size) + " bytes, the file has " + std::to_string(size));
  }
  const std::uint64_t rest = size - sizeof(PackHeader);
  if (header.num_assets > rest / sizeof(PackAsset))
    fail(path, "num_assets", "the table is cut off");
  if (header.names_offset > size || header.names_size > size - header.names_offset) {
    fail(path, "names_offset", "the names are cut off");
  }
  const std::byte* const table = pack->bytes_.data() + sizeof(PackHeader);
  pack->assets_ = {reinterpret_cast<const PackAsset*>(table),
                   header.num_assets};  // NOLINT: aligned
  pack->names_ = {reinterpret_cast<const char*>(pack->bytes_.data()) + header.names_offset,
                  header.names_size};  // NOLINT: bytes as text
  const std::uint32_t crc =
      crc32(std::as_bytes(std::span(pack->names_)), crc32(std::as_bytes(pack->assets_)));
  if (crc != header.table_crc) fail(path, "table_crc", "the table of assets is damaged");
  pack->check_table();
  return pack;
}

AssetPack::~AssetPack() {
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());  // NOLINT: as it was mapped
}

void AssetPack::check_table() const {
  std::string_view last;
  for (std::size_t i = 0; i < assets_.size(); ++i) {
    const PackAsset& a = assets_[i];
    const std::string key = "asset " + std::to_string(i);
    if (a.name_size == 0 || a.name_offset > names_.size() ||
        a.name_size > names_.size() - a.name_offset) {
      fail(path_, key, "its name is cut off");
    }
    if (i > 0 && !(last < name(i))) fail(path_, key, "names are not in order, each once");
    last = name(i);
    if (a.payload_offset % kPackAlignment != 0 || a.payload_offset > bytes_.size() ||
        a.payload_size > bytes_.size() - a.payload_offset) {
      fail(path_, key, "its payload is cut off");
    }
    for (const float side : a.size) {
      if (!(side > 0.0F && side <= kLargestAsset)) fail(path_, key, "its size is not in (0, 20] m");
    }
    if (a.num_lods == 0 || a.num_lods > kMostLods) fail(path_, key, "it has no 1 to 8 levels");
  }
}

std::string_view AssetPack::name(std::size_t asset) const {
  return names_.substr(assets_[asset].name_offset, assets_[asset].name_size);
}

Vec3 AssetPack::size(std::size_t asset) const {
  const std::array<float, 3>& s = assets_[asset].size;
  return {s[0], s[1], s[2]};
}

std::int64_t AssetPack::find(std::string_view wanted) const {
  std::size_t low = 0;
  std::size_t high = assets_.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (name(middle) < wanted) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < assets_.size() && name(low) == wanted ? static_cast<std::int64_t>(low) : -1;
}

AssetMesh AssetPack::load(std::size_t index) const {
  const PackAsset& asset = assets_[index];
  const auto payload = bytes_.subspan(asset.payload_offset, asset.payload_size);
  const PayloadReader reader(payload, path_, std::string(name(index)));
  reader.require(crc32(payload) == asset.payload_crc, "its data is damaged (CRC-32)");
  AssetMesh mesh;
  mesh.size = size(index);
  mesh.is_double_sided = (asset.flags & kDoubleSided) != 0;
  mesh.content_hash = asset.content_hash;
  std::uint64_t at = 0;
  for (const PackLod& lod : reader.take<PackLod>(at, asset.num_lods)) {
    mesh.lods.push_back(read_lod(reader, lod, mesh.size));
    reader.require(mesh.lods.size() < 2 || mesh.lods.back().error <= mesh.lods.end()[-2].error,
                   "the levels are not ordered from coarse to fine");
  }
  mesh.texture = read_texture(reader, asset);
  return mesh;
}

}  // namespace flare::render
