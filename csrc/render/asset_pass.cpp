// GeometryPass for textured meshes. Depth and texture coordinates of a triangle are linear in the
// pixel's ray over the depth (Olano and Greer 1997, "Triangle scan conversion using 2D homogeneous
// coordinates"), so that clipped and unclipped triangles need no difference.
#include <algorithm>
#include <cmath>

#include "render/geometry_pass.hpp"
#include "render/simd.hpp"

namespace flare::render {
namespace {

constexpr float kErrorPixels = 0.7F;         // of a level of detail, at most
constexpr float kPixelsPerTriangle = 12.0F;  // finer levels show no more
constexpr float kFlatPixels = 16.0F;         // triangles below this area have one colour
constexpr float kTexelsPerPixel = 2.0F;      // along an area, from which the next mip level is used

BoxTransform unit_axes(const BoxTransform& place) {
  const auto unit = [](Vec3 v) { return v * (1.0F / length(v)); };
  return {place.center, unit(place.axis_x), unit(place.axis_y), unit(place.axis_z)};
}

/// Mean of the corners' normals, of unit length.
Vec3 normal_of(const AssetLod& lod, std::span<const std::uint16_t> indices) {
  Vec3 sum;
  for (const std::size_t k : indices) {
    const auto component = [&](std::size_t i) {
      return static_cast<float>(lod.normals[4 * k + i]);
    };
    sum = sum + Vec3{component(0), component(1), component(2)};
  }
  const float size = length(sum);
  return size > 0.0F ? sum * (1.0F / size) : Vec3{0.0F, 1.0F, 0.0F};
}

const AssetTexture::Level& choose_mip(const AssetTexture& texture, float texels, float pixels) {
  std::size_t level = 0;
  while (level + 1 < texture.num_levels && texels > kTexelsPerPixel * pixels) {
    texels *= 0.25F;
    ++level;
  }
  return texture.levels[level];
}

std::uint32_t texel_at(const AssetTexture::Level& level, float u, float v) {
  const auto wrap = [](float t, std::uint32_t mask) {
    const float size = static_cast<float>(mask + 1U);
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(std::floor(t * size))) & mask;
  };
  return level.texels[(wrap(v, level.height_mask) << level.width_bits) + wrap(u, level.width_mask)];
}

}  // namespace

const AssetLod& GeometryPass::choose_lod(const AssetMesh& mesh, const BoxTransform& place) const {
  const float scale = std::max({length(place.axis_x), length(place.axis_y), length(place.axis_z)});
  const float distance = std::max(length(place.center - view_.position), 0.01F);
  const float per_meter = view_.focal * scale / distance;
  const float diameter = length(mesh.size) * per_meter;
  // The box covers about half of the square round its sphere.
  const float most_triangles = 0.5F * diameter * diameter / kPixelsPerTriangle;
  std::size_t level = 0;
  while (level + 1 < mesh.lods.size() && mesh.lods[level].error * per_meter > kErrorPixels) {
    const auto finer = static_cast<float>(mesh.lods[level + 1].indices.size() / 3);
    if (finer > most_triangles) break;
    ++level;
  }
  return mesh.lods[level];
}

void GeometryPass::transform(const AssetLod& lod, const BoxTransform& place) {
  vertices_.resize(lod.x.size());
  const Vec3 center = view_.to_camera(place.center);
  const auto axis = [this](Vec3 a) {
    return Vec3{dot(a, view_.right), dot(a, view_.up), dot(a, view_.ahead)};
  };
  const Vec3 ax = axis(place.axis_x);
  const Vec3 ay = axis(place.axis_y);
  const Vec3 az = axis(place.axis_z);
  for (std::size_t i = 0; i < lod.x.size(); i += kLanes) {
    const auto x = load<F32x8>(&lod.x[i]);
    const auto y = load<F32x8>(&lod.y[i]);
    const auto z = load<F32x8>(&lod.z[i]);
    project(i, center.x + x * ax.x + y * ay.x + z * az.x, center.y + x * ax.y + y * ay.y + z * az.y,
            center.z + x * ax.z + y * ay.z + z * az.z);
  }
}

GeometryPass::Triangle GeometryPass::make_triangle(std::span<const std::uint16_t> indices) const {
  Triangle t;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t k = indices[i];
    t.corners[i] = {vertices_.x[k], vertices_.y[k], vertices_.z[k]};
  }
  t.normal = cross(t.corners[1] - t.corners[0], t.corners[2] - t.corners[0]);
  t.height = -dot(t.normal, t.corners[0]);
  return t;
}

InverseDepth GeometryPass::depth_of(const Triangle& t) const {
  InverseDepth depth;
  const float per_height = -1.0F / t.height;
  const float scale = per_height / view_.focal;
  depth.a = t.normal.x * scale;
  depth.b = -t.normal.y * scale;
  depth.c = t.normal.z * per_height - depth.a * view_.cx - depth.b * view_.cy;
  depth.low = polygon_.farthest;
  depth.high = polygon_.nearest;
  return depth;
}

float GeometryPass::area_on_screen() const {
  std::int64_t twice = 0;
  for (std::size_t i = 0; i < polygon_.size; ++i) {
    const FixedPoint a = polygon_.corners[i];
    const FixedPoint b = polygon_.corners[i + 1 < polygon_.size ? i + 1 : 0];
    twice += static_cast<std::int64_t>(a.x) * b.y - static_cast<std::int64_t>(b.x) * a.y;
  }
  constexpr float kPerPixel = 0.5F / (1 << (2 * kSubpixelBits));
  return kPerPixel * static_cast<float>(std::abs(twice));
}

/// A plane of the texture, or one colour where that is all that can be seen.
Primitive GeometryPass::paint(const AssetLod& lod, std::span<const std::uint16_t> indices,
                              const Triangle& t, const AssetTexture& texture,
                              const Lighting& lighting) {
  const std::array<std::size_t, 3> k = {indices[0], indices[1], indices[2]};
  const float du1 = lod.u[k[1]] - lod.u[k[0]], du2 = lod.u[k[2]] - lod.u[k[0]];
  const float dv1 = lod.v[k[1]] - lod.v[k[0]], dv2 = lod.v[k[2]] - lod.v[k[0]];
  const AssetTexture::Level& finest = texture.levels[0];
  const auto texels = static_cast<float>((finest.width_mask + 1U) * (finest.height_mask + 1U));
  const float pixels = area_on_screen();
  const AssetTexture::Level& level =
      choose_mip(texture, 0.5F * std::abs(du1 * dv2 - du2 * dv1) * texels, pixels);
  const float brightness = 256.0F * finish_.gain * lighting.brightness(normal_of(lod, indices));
  const auto gain = [&](float tint) { return static_cast<std::int32_t>(brightness * tint); };
  TexturedPlane plane;
  plane.r = gain(lighting.tint.r);
  plane.g = gain(lighting.tint.g);
  plane.b = gain(lighting.tint.b);
  Primitive out;
  if (pixels < kFlatPixels || texture.num_levels == 1) {
    const std::uint32_t texel = texel_at(level, lod.u[k[0]] + (du1 + du2) * (1.0F / 3.0F),
                                         lod.v[k[0]] + (dv1 + dv2) * (1.0F / 3.0F));
    out.color = static_cast<std::uint32_t>(light_texel(texel, plane.r, plane.g, plane.b));
    return out;
  }
  plane.level = level;
  // Barycentric weights of corners 1 and 2 over the depth are these two, dotted with the ray.
  const float per_height = -1.0F / t.height;
  const Vec3 w1 = cross(t.corners[2] - t.corners[0], t.corners[0]) * per_height;
  const Vec3 w2 = cross(t.corners[0], t.corners[1] - t.corners[0]) * per_height;
  const auto plane_of = [&](float size, float at, float d1, float d2, float& c0, float& ca,
                            float& cb, float& cc) {
    const Vec3 w = (w1 * d1 + w2 * d2) * size;
    c0 = at * size;
    ca = w.x / view_.focal;
    cb = -w.y / view_.focal;
    cc = w.z - ca * view_.cx - cb * view_.cy;
  };
  plane_of(static_cast<float>(level.width_mask + 1U), lod.u[k[0]], du1, du2, plane.u0, plane.ua,
           plane.ub, plane.uc);
  plane_of(static_cast<float>(level.height_mask + 1U), lod.v[k[0]], dv1, dv2, plane.v0, plane.va,
           plane.vb, plane.vc);
  out.paint = -2 - static_cast<std::int32_t>(textured_.size());
  textured_.push_back(plane);
  return out;
}

void GeometryPass::draw(const AssetMesh& mesh, const BoxTransform& place, std::uint16_t object_id,
                        const PixelRect& scissor, Canvas& canvas) {
  const AssetLod& lod = choose_lod(mesh, place);
  transform(lod, place);
  const BoxTransform axes = unit_axes(place);
  const Lighting lighting = lighting_.in_frame(axes.axis_x, axes.axis_y, axes.axis_z);
  for (std::size_t i = 0; i < lod.indices.size(); i += 3) {
    const auto indices = lod.indices.subspan(i, 3);
    const Triangle triangle = make_triangle(indices);
    const float height = mesh.is_double_sided ? std::abs(triangle.height) : triangle.height;
    if (!(height > 0.0F) || !make_polygon(indices)) continue;
    const auto primitive = static_cast<std::uint32_t>(primitives_.size());
    const std::span<const FixedPoint> corners(polygon_.corners.data(), polygon_.size);
    if (!canvas.fill(corners, scissor, depth_of(triangle), primitive)) continue;
    Primitive painted = paint(lod, indices, triangle, mesh.texture, lighting);
    painted.object_id = object_id;
    primitives_.push_back(painted);
  }
}

}  // namespace flare::render
