// The asset pack: textured meshes of many assets in one file that is mapped, not read.
//
// All numbers are little-endian, all structures are laid out as below without padding.
//
//   PackHeader
//   PackAsset[num_assets]   sorted by the bytes of the name, each name once
//   names                   the assets' names one after the other, UTF-8, no terminators
//   payloads                one per asset, each at a multiple of 64
//
// A payload is PackLod[num_lods], from the coarsest to the finest, then the arrays of each level at
// its own data_offset, then the texture at texture_offset (offsets count from the payload's start
// and are multiples of 8):
//
//   level    float32 x[V], y[V], z[V]   m, in the asset's own frame: Unity's axes (left-handed, y
//                                       up), yRotOffset applied, the centre of the box at 0; of
//                                       every level within 0.51 times the box's size
//            float32 u[V], v[V]         texture coordinates, in [-16, 16]; they repeat
//            int8    normals[V][4]      unit normals times 127, the fourth is 0
//            uint16  indices[T][3]      corners clockwise seen from the front
//   texture  uint32  texels[h][w]       0x00BBGGRR; row 0 is where v = 0, the bottom of the image;
//                                       then every further mip level down to 1 x 1, each side half
//                                       of the one before (at least 1), each texel the mean of
//                                       those it covers
//
// V is a multiple of 8: the last vertex is repeated. An asset without a texture has one of 1 x 1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/geometry.hpp"

namespace flare::render {

inline constexpr std::array<char, 8> kPackMagic = {'F', 'L', 'A', 'R', 'E', 'P', 'K', '\0'};
inline constexpr std::uint32_t kPackVersion = 1;
inline constexpr std::uint64_t kPackAlignment = 64;
inline constexpr std::uint32_t kMostLods = 8;
inline constexpr std::uint32_t kMostVertices = 65536;   // of one level, indices are uint16
inline constexpr std::uint32_t kMostTriangles = 65536;  // of one level
inline constexpr std::uint32_t kLargestTexture = 1024;  // px, sides are powers of two
inline constexpr float kLargestAsset = 20.0F;           // m, of a side of the box

struct PackHeader {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t num_assets;
  std::uint64_t file_size;  // bytes
  std::uint64_t names_offset;
  std::uint64_t names_size;
  std::uint32_t table_crc;  // CRC-32 (zlib's) of all PackAsset and then of the names
  std::uint32_t reserved;   // 0
};
static_assert(sizeof(PackHeader) == 48);

struct PackAsset {
  std::uint64_t payload_offset;  // from the start of the file
  std::uint64_t payload_size;    // bytes
  std::uint64_t texture_offset;  // from the start of the payload
  std::uint64_t content_hash;    // of the asset's source files, for manifests
  std::uint32_t name_offset;     // from names_offset
  std::uint32_t name_size;
  std::array<float, 3> size;  // m, of the box round the finest level
  std::uint32_t num_lods;
  std::uint32_t texture_width, texture_height;  // px, of the finest mip level
  std::uint32_t payload_crc;                    // CRC-32 (zlib's) of the payload
  std::uint32_t flags;                          // kDoubleSided
};
static_assert(sizeof(PackAsset) == 72);

/// Triangles of the asset are seen from both sides.
inline constexpr std::uint32_t kDoubleSided = 1;

struct PackLod {
  std::uint64_t data_offset;  // from the start of the payload
  std::uint32_t num_vertices;
  std::uint32_t num_triangles;
  float error;  // m, how far the level lies from the finest at most; falls from level to level
  std::uint32_t reserved;  // 0
};
static_assert(sizeof(PackLod) == 24);

/// One level of detail, as it lies in the file.
struct AssetLod {
  std::span<const float> x, y, z;          // [V] m
  std::span<const float> u, v;             // [V]
  std::span<const std::int8_t> normals;    // [V, 4]
  std::span<const std::uint16_t> indices;  // [T, 3]
  float error = 0.0F;                      // m
};

struct AssetTexture {
  static constexpr std::size_t kMostLevels = 11;  // 1024 to 1
  struct Level {
    const std::uint32_t* texels = nullptr;  // [h, w]
    std::uint32_t width_mask = 0;           // width - 1
    std::uint32_t height_mask = 0;
    std::uint32_t width_bits = 0;  // log2 of the width
  };
  std::array<Level, kMostLevels> levels;  // finest first
  std::size_t num_levels = 0;
};

/// A checked asset; views of the mapped file, valid as long as its pack.
struct AssetMesh {
  Vec3 size;  // m
  bool is_double_sided = false;
  std::uint64_t content_hash = 0;
  std::vector<AssetLod> lods;  // coarsest first
  AssetTexture texture;
};

/// A mapped pack file. Immutable; may be used by several threads.
class AssetPack {
 public:
  /// Maps the file and checks header, table and names. Throws HouseFormatError naming the file,
  /// what is wrong and the mend.
  static std::shared_ptr<const AssetPack> open(const std::string& path);
  ~AssetPack();
  AssetPack(const AssetPack&) = delete;
  AssetPack& operator=(const AssetPack&) = delete;

  [[nodiscard]] std::size_t num_assets() const { return assets_.size(); }
  [[nodiscard]] std::string_view name(std::size_t asset) const;
  [[nodiscard]] Vec3 size(std::size_t asset) const;  // m

  /// Index of an asset, -1 if the pack does not have it.
  [[nodiscard]] std::int64_t find(std::string_view name) const;

  /// Checks every number of the asset and its CRC-32; about 0.1 ms. Throws HouseFormatError.
  [[nodiscard]] AssetMesh load(std::size_t asset) const;

 private:
  AssetPack() = default;
  void check_table() const;

  std::string path_;
  std::span<const std::byte> bytes_;  // the mapping
  std::span<const PackAsset> assets_;
  std::string_view names_;
};

/// zlib's CRC-32 (polynomial 0xEDB88320), continued from `crc`.
std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc = 0);

}  // namespace flare::render
