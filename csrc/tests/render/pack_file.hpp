// Writes small asset packs for tests, as csrc/render/asset_mesh.hpp describes them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "render/asset_mesh.hpp"

namespace flare::render {

using Bytes = std::vector<char>;

inline void append_bytes(Bytes& out, const void* data, std::size_t size) {
  const std::size_t end = out.size();
  out.resize(end + size);
  if (size > 0) std::memcpy(out.data() + end, data, size);
}

template <typename T>
void append(Bytes& out, const T& value) {
  append_bytes(out, &value, sizeof(T));
}

inline void pad_to(Bytes& out, std::size_t multiple) {
  out.resize((out.size() + multiple - 1) / multiple * multiple);
}

inline std::uint32_t crc_of(const Bytes& bytes) {
  return crc32(std::as_bytes(std::span<const char>(bytes)));
}

/// What one asset of a test is made of: triangles over vertices.
struct PackedAsset {
  std::string name;
  Vec3 size;
  std::vector<std::array<float, 5>> vertices;  // x, y, z, u, v
  std::vector<std::array<float, 3>> normals;
  std::vector<std::uint16_t> indices;
  std::uint32_t width = 1, height = 1;
  std::vector<std::uint32_t> texels = {0xFFFFFF};  // all mip levels
  std::vector<float> errors = {0.0F};              // of each level
  float coarse_scale = 1.0F;                       // of the vertices of all but the finest level
  std::uint32_t flags = 0;
};

inline Bytes payload_of(const PackedAsset& asset, std::uint64_t& texture_offset) {
  const std::size_t padded = (asset.vertices.size() + 7) / 8 * 8;
  Bytes out(asset.errors.size() * sizeof(PackLod));
  for (std::size_t level = 0; level < asset.errors.size(); ++level) {
    pad_to(out, 8);
    const PackLod lod = {out.size(), static_cast<std::uint32_t>(padded),
                         static_cast<std::uint32_t>(asset.indices.size() / 3), asset.errors[level],
                         0};
    std::memcpy(out.data() + level * sizeof(PackLod), &lod, sizeof(lod));
    for (std::size_t axis = 0; axis < 5; ++axis) {
      for (std::size_t i = 0; i < padded; ++i) {
        const float scale = axis < 3 && level + 1 < asset.errors.size() ? asset.coarse_scale : 1.0F;
        append(out, scale * asset.vertices[std::min(i, asset.vertices.size() - 1)][axis]);
      }
    }
    for (std::size_t i = 0; i < padded; ++i) {
      for (const float n : asset.normals[std::min(i, asset.normals.size() - 1)]) {
        append(out, static_cast<std::int8_t>(n * 127.0F));
      }
      append(out, std::int8_t{0});
    }
    for (const std::uint16_t index : asset.indices) append(out, index);
  }
  pad_to(out, 8);
  texture_offset = out.size();
  for (const std::uint32_t texel : asset.texels) append(out, texel);
  return out;
}

/// @param assets in the order of their names
inline Bytes pack_of(const std::vector<PackedAsset>& assets) {
  Bytes names;
  std::vector<Bytes> payloads;
  std::vector<PackAsset> table(assets.size());
  for (std::size_t i = 0; i < assets.size(); ++i) {
    payloads.push_back(payload_of(assets[i], table[i].texture_offset));
    table[i].name_offset = static_cast<std::uint32_t>(names.size());
    table[i].name_size = static_cast<std::uint32_t>(assets[i].name.size());
    append_bytes(names, assets[i].name.data(), assets[i].name.size());
  }
  PackHeader header = {
      kPackMagic, kPackVersion, static_cast<std::uint32_t>(assets.size()), 0, 0, names.size(), 0,
      0};
  header.names_offset = sizeof(PackHeader) + table.size() * sizeof(PackAsset);
  std::uint64_t at = header.names_offset + names.size();
  for (std::size_t i = 0; i < assets.size(); ++i) {
    at = (at + kPackAlignment - 1) / kPackAlignment * kPackAlignment;
    PackAsset& a = table[i];
    a.payload_offset = at;
    a.payload_size = payloads[i].size();
    a.payload_crc = crc_of(payloads[i]);
    a.content_hash = i + 1;
    a.size = {assets[i].size.x, assets[i].size.y, assets[i].size.z};
    a.num_lods = static_cast<std::uint32_t>(assets[i].errors.size());
    a.texture_width = assets[i].width;
    a.texture_height = assets[i].height;
    a.flags = assets[i].flags;
    at += payloads[i].size();
  }
  Bytes tail;
  for (const PackAsset& a : table) append(tail, a);
  append_bytes(tail, names.data(), names.size());
  header.table_crc = crc_of(tail);
  header.file_size = at;
  Bytes out;
  append(out, header);
  append_bytes(out, tail.data(), tail.size());
  for (const Bytes& payload : payloads) {
    pad_to(out, kPackAlignment);
    append_bytes(out, payload.data(), payload.size());
  }
  return out;
}

/// A file that is removed at the end of its scope.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, const Bytes& bytes) : path_(name) {
    std::ofstream(path_, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  ~TemporaryFile() { std::remove(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A square of side 1 m in the plane z = 0, seen from -z; texture 2 x 2: red and green below, blue
/// and white above.
inline PackedAsset square_asset(const std::string& name) {
  PackedAsset asset;
  asset.name = name;
  asset.size = {1.0F, 1.0F, 0.01F};
  asset.vertices = {{-0.5F, -0.5F, 0.0F, 0.0F, 0.0F},
                    {-0.5F, 0.5F, 0.0F, 0.0F, 1.0F},
                    {0.5F, 0.5F, 0.0F, 1.0F, 1.0F},
                    {0.5F, -0.5F, 0.0F, 1.0F, 0.0F}};
  asset.normals = {{0.0F, 0.0F, -1.0F}};
  asset.indices = {0, 1, 2, 0, 2, 3};
  asset.width = asset.height = 2;
  asset.texels = {0x0000FF, 0x00FF00, 0xFF0000, 0xFFFFFF, 0x7F7F7F};
  return asset;
}

}  // namespace flare::render
