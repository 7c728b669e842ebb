#include "render/canvas.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/rng.hpp"

namespace flare::render {
namespace {

constexpr int kSize = 32;
constexpr InverseDepth kFlat = {0.0F, 0.0F, 1.0F, 1.0F, 1.0F};

FixedPoint pixels(double x, double y) {
  return {static_cast<std::int32_t>(x * 256), static_cast<std::int32_t>(y * 256)};
}

Canvas clean_canvas() {
  Canvas canvas;
  canvas.resize(kSize, kSize);
  canvas.clear();
  return canvas;
}

TEST_CASE("canvas: a centre on a left or top edge is covered, on a right or bottom edge not") {
  Canvas canvas = clean_canvas();
  const std::array<FixedPoint, 4> square = {pixels(2.5, 3.5), pixels(5.5, 3.5), pixels(5.5, 6.5),
                                            pixels(2.5, 6.5)};
  canvas.fill(square, {0, 0, kSize, kSize}, kFlat, 7);
  for (int y = 0; y < kSize; ++y) {
    for (int x = 0; x < kSize; ++x) {
      const bool inside = x >= 2 && x < 5 && y >= 3 && y < 6;
      CHECK((canvas.primitives(y)[x] == 7U) == inside);
    }
  }
}

TEST_CASE("canvas: polygons that share edges cover each pixel once, for random meshes") {
  for (std::uint64_t round = 0; round < 200; ++round) {
    // A fan around a random point inside a square that covers pixels 1..30.
    const auto random = [round](std::uint64_t k) {
      return pixels(2.0 + 28.0 * static_cast<double>(keyed_uniform(5, round, k, 0, 0)),
                    2.0 + 28.0 * static_cast<double>(keyed_uniform(5, round, k, 0, 1)));
    };
    const std::array<FixedPoint, 4> corners = {pixels(1, 1), pixels(31, 1), pixels(31, 31),
                                               pixels(1, 31)};
    const FixedPoint middle = random(0);
    std::vector<int> hits(kSize * kSize, 0);
    for (std::size_t i = 0; i < 4; ++i) {
      Canvas canvas = clean_canvas();
      const std::array<FixedPoint, 3> triangle = {corners[i], corners[(i + 1) % 4], middle};
      canvas.fill(triangle, {0, 0, kSize, kSize}, kFlat, 1);
      for (int y = 0; y < kSize; ++y) {
        for (int x = 0; x < kSize; ++x) {
          hits[static_cast<std::size_t>(y * kSize + x)] += canvas.primitives(y)[x] == 1U ? 1 : 0;
        }
      }
    }
    for (int y = 0; y < kSize; ++y) {
      for (int x = 0; x < kSize; ++x) {
        const bool inside = x >= 1 && x < 31 && y >= 1 && y < 31;
        REQUIRE(hits[static_cast<std::size_t>(y * kSize + x)] == (inside ? 1 : 0));
      }
    }
  }
}

// Narrow scissors are filled by half planes, wide ones in spans.
TEST_CASE("canvas: whole or in strips, random polygons are the same to the last bit") {
  const InverseDepth slope = {0.01F, -0.02F, 1.0F, 0.1F, 3.0F};
  for (std::uint64_t round = 0; round < 2000; ++round) {
    const auto random = [round](std::uint64_t k) {
      // A quarter of the corners lies on pixel centres.
      const auto snap = [k](std::int32_t v) { return k % 4 == 0 ? (v & ~255) + 128 : v; };
      const FixedPoint p =
          pixels(-4.0 + 40.0 * static_cast<double>(keyed_uniform(6, round, k, 0, 0)),
                 -4.0 + 40.0 * static_cast<double>(keyed_uniform(6, round, k, 0, 1)));
      return FixedPoint{snap(p.x), snap(p.y)};
    };
    // Triangles and parallelograms.
    const FixedPoint a = random(round);
    const FixedPoint b = random(round + 1);
    const FixedPoint c = random(round + 2);
    std::vector<FixedPoint> corners = {a, b, c};
    if (round % 2 == 0) corners.push_back({a.x + c.x - b.x, a.y + c.y - b.y});
    Canvas whole = clean_canvas();
    Canvas strips = clean_canvas();
    whole.fill(corners, {0, 0, kSize, kSize}, slope, 1);
    for (int x = 0; x < kSize; x += 5) {
      strips.fill(corners, {x, 0, std::min(x + 5, kSize), kSize}, slope, 1);
    }
    for (int y = 0; y < kSize; ++y) {
      for (int x = 0; x < kSize; ++x) {
        REQUIRE(whole.primitives(y)[x] == strips.primitives(y)[x]);
        REQUIRE(whole.inverse_depth(y)[x] == strips.inverse_depth(y)[x]);
      }
    }
  }
}

TEST_CASE("canvas: the nearer polygon shows, at equal depth the first, and never out of scissor") {
  Canvas canvas = clean_canvas();
  const std::array<FixedPoint, 4> all = {pixels(0, 0), pixels(32, 0), pixels(32, 32),
                                         pixels(0, 32)};
  const PixelRect full = {0, 0, kSize, kSize};
  const auto at = [](float inverse) { return InverseDepth{0, 0, inverse, inverse, inverse}; };
  CHECK(canvas.fill(all, full, at(0.5F), 1));
  CHECK_FALSE(canvas.fill(all, full, at(0.5F), 2));
  CHECK(canvas.primitives(9)[9] == 1U);
  canvas.fill(all, {8, 8, 10, 10}, at(1.0F), 3);
  CHECK(canvas.primitives(9)[9] == 3U);
  CHECK(canvas.primitives(9)[10] == 1U);
  CHECK(canvas.primitives(10)[9] == 1U);
  CHECK(canvas.hides(full, 0.4F));
  CHECK_FALSE(canvas.hides(full, 0.6F));
  CHECK(canvas.hides({8, 8, 10, 10}, 0.6F));
}

TEST_CASE("canvas: huge and empty polygons are exact and harmless") {
  Canvas canvas = clean_canvas();
  const PixelRect full = {0, 0, kSize, kSize};
  const std::array<FixedPoint, 3> huge = {pixels(-16384, -16384), pixels(16384, -16384),
                                          pixels(-16384, 16384)};
  // The long edge is x + y = 0: only centres with x + y < 0 lie before it, none in the image.
  CHECK_FALSE(canvas.fill(huge, full, kFlat, 1));
  CHECK(canvas.primitives(0)[0] == Canvas::kNothing);
  const std::array<FixedPoint, 3> sliver = {pixels(3.1, 3.1), pixels(3.2, 3.1), pixels(3.1, 3.2)};
  CHECK_FALSE(canvas.fill(sliver, full, kFlat, 2));
}

}  // namespace
}  // namespace flare::render
