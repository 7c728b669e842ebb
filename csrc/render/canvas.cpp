#include "render/canvas.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "core/assert.hpp"
#include "render/simd.hpp"

namespace flare::render {
namespace {

constexpr std::int32_t kOne = 1 << kSubpixelBits;
constexpr std::int32_t kHalf = kOne / 2;

/// Index of the first pixel whose centre is not before the position.
int first_centre(std::int32_t position) {
  return (position - kHalf + kOne - 1) >> kSubpixelBits;  // arithmetic shift: floor
}

/// A polygon as the half planes of its edges, for eight pixels of a row at a time: within where no
/// lane of `edge` is negative. 32 bits are enough up to kSmall.
struct HalfPlanes {
  static constexpr std::size_t kMost = 8;
  static constexpr std::int32_t kSmall = 1 << (kSubpixelBits + 6);
  std::array<I32x8, kMost> edge;  // on the row at hand
  std::array<std::int32_t, kMost> per_row;
  std::size_t size = 0;

  /// The rows' bounds take the place of level edges. Returns false for a polygon that is not convex
  /// to the last bit: rounding has bent it.
  bool set(std::span<const FixedPoint> corners, FixedPoint centre);
};

std::int32_t turn(FixedPoint a, FixedPoint b, FixedPoint c) {
  return (b.x - a.x) * (c.y - b.y) - (b.y - a.y) * (c.x - b.x);
}

bool HalfPlanes::set(std::span<const FixedPoint> corners, FixedPoint centre) {
  const std::size_t n = corners.size();
  const auto at = [&](std::size_t i) { return corners[i < n ? i : i - n]; };
  std::int32_t least = 0;
  std::int32_t most = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::int32_t t = turn(at(i), at(i + 1), at(i + 2));
    least = std::min(least, t);
    most = std::max(most, t);
  }
  if (least < 0 && most > 0) return false;
  size = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const FixedPoint a = least < 0 ? at(i + 1) : at(i);  // clockwise on the screen
    const FixedPoint b = least < 0 ? at(i) : at(i + 1);
    const std::int32_t dx = b.x - a.x;
    const std::int32_t dy = b.y - a.y;
    if (dy == 0) continue;
    // Edges that go down are on the right: centres on them are outside.
    const std::int32_t bias = dy > 0 ? 1 : 0;
    const std::int32_t first = dx * (centre.y - a.y) - dy * (centre.x - a.x) - bias;
    edge[size] = first - kLaneIndex * (dy * kOne);
    per_row[size] = dx * kOne;
    ++size;
  }
  return true;
}

struct Quotient {
  std::int64_t floor;
  std::int64_t rest;  // in [0, divisor)
};

/// Exact for |value| < 2^52 and |quotient| < 2^31: the rounded quotient is off by one at most.
Quotient divide(std::int64_t value, std::int64_t divisor) {
  const auto near =
      static_cast<std::int64_t>(static_cast<double>(value) / static_cast<double>(divisor));
  Quotient q{near, value - near * divisor};
  if (q.rest < 0) {
    --q.floor;
    q.rest += divisor;
  }
  return q;
}

}  // namespace

void Canvas::resize(int width, int height) {
  width_ = width;
  height_ = height;
  stride_ = (width + kLanes - 1) / kLanes * kLanes;
  const std::size_t size = row(height) + kLanes;  // vectors may begin at any pixel
  if (depth_.size() < size) {
    depth_.resize(size);
    primitive_.resize(size);
  }
  if (left_.size() < static_cast<std::size_t>(height)) {
    left_.resize(static_cast<std::size_t>(height));
    right_.resize(static_cast<std::size_t>(height));
  }
}

void Canvas::clear() {
  const auto size = static_cast<std::ptrdiff_t>(row(height_));
  std::fill(depth_.begin(), depth_.begin() + size, 0.0F);
  std::fill(primitive_.begin(), primitive_.begin() + size, kNothing);
}

void Canvas::scan_edge(FixedPoint top, FixedPoint bottom, int y0, int y1) {
  const int begin = std::max(y0, first_centre(top.y));
  const int end = std::min(y1, first_centre(bottom.y));
  if (begin >= end) return;
  // On the row of centre Y the edge is at x = top.x + dx (Y - top.y) / dy; the first pixel centre
  // not before it is ceil((x - half) / one) = floor((x - half - tiny) / one) + 1.
  const std::int64_t dx = bottom.x - top.x;
  const std::int64_t dy = bottom.y - top.y;
  const std::int64_t centre = static_cast<std::int64_t>(begin) * kOne + kHalf;
  const std::int64_t divisor = dy * kOne;
  Quotient at = divide((top.x - kHalf) * dy + dx * (centre - top.y) - 1, divisor);
  const Quotient step = end - begin > 1 ? divide(dx, dy) : Quotient{0, 0};
  const std::int64_t step_rest = step.rest * kOne;
  for (int y = begin; y < end; ++y) {
    const auto x = static_cast<std::int32_t>(at.floor + 1);
    std::int32_t& left = left_[static_cast<std::size_t>(y)];
    std::int32_t& right = right_[static_cast<std::size_t>(y)];
    left = std::min(left, x);
    right = std::max(right, x);
    at.floor += step.floor;
    at.rest += step_rest;
    if (at.rest >= divisor) {
      at.rest -= divisor;
      ++at.floor;
    }
  }
}

bool Canvas::fill_spans(const PixelRect& box, const InverseDepth& plane, std::uint32_t primitive) {
  // Copies: the compiler cannot know that the planes written do not hold these.
  const InverseDepth depth = plane;
  const F32x8 low = splat(depth.low);
  const F32x8 high = splat(depth.high);
  const I32x8 id = splat(static_cast<std::int32_t>(primitive));
  I32x8 taken = {};
  for (int y = box.y0; y < box.y1; ++y) {
    const int x0 = std::max(box.x0, left_[static_cast<std::size_t>(y)]);
    const int x1 = std::min(box.x1, right_[static_cast<std::size_t>(y)]);
    float* const depth_row = depth_.data() + row(y);
    std::uint32_t* const primitive_row = primitive_.data() + row(y);
    const F32x8 base = splat(depth.c + depth.b * (static_cast<float>(y) + 0.5F));
    const auto block = [&](int x, F32x8 centre, auto covers) {
      const F32x8 z = min(max(base + depth.a * centre, low), high);
      const auto old = load<F32x8>(depth_row + x);
      const I32x8 hit = covers(z > old);
      taken |= hit;
      store(depth_row + x, hit ? z : old);
      store(primitive_row + x, hit ? id : load<I32x8>(primitive_row + x));
    };
    int x = x0 & ~(kLanes - 1);
    F32x8 centre = to_float(kLaneIndex + x) + 0.5F;  // stays exact when eight are added
    const auto partial = [&] {
      const I32x8 column = kLaneIndex + x;
      block(x, centre, [&](I32x8 hit) { return hit & (column >= x0) & (column < x1); });
      x += kLanes;
      centre = centre + static_cast<float>(kLanes);
    };
    if (x < x0 && x < x1) partial();
    for (; x + kLanes <= x1; x += kLanes) {
      block(x, centre, [](I32x8 hit) { return hit; });
      centre = centre + static_cast<float>(kLanes);
    }
    if (x < x1) partial();
  }
  return lane_bits(taken) != 0;
}

Canvas::Filled Canvas::fill_small(std::span<const FixedPoint> corners, const PixelRect& box,
                                  const InverseDepth& plane, std::uint32_t primitive) {
  HalfPlanes planes;
  if (!planes.set(corners, {box.x0 * kOne + kHalf, box.y0 * kOne + kHalf}))
    return Filled::kNotTried;
  const InverseDepth depth = plane;
  const F32x8 low = splat(depth.low);
  const F32x8 high = splat(depth.high);
  const I32x8 id = splat(static_cast<std::int32_t>(primitive));
  const I32x8 column = kLaneIndex + box.x0;
  const I32x8 beyond = column >= box.x1;  // a true lane is -1
  I32x8 taken = {};
  const F32x8 along = depth.a * (to_float(column) + 0.5F);
  for (int y = box.y0; y < box.y1; ++y) {
    I32x8 outside = beyond;
    for (std::size_t i = 0; i < planes.size; ++i) {
      outside |= planes.edge[i];
      planes.edge[i] += planes.per_row[i];
    }
    float* const depth_at = depth_.data() + row(y) + box.x0;
    std::uint32_t* const primitive_at = primitive_.data() + row(y) + box.x0;
    const F32x8 base = splat(depth.c + depth.b * (static_cast<float>(y) + 0.5F));
    const F32x8 z = min(max(base + along, low), high);
    const auto old = load<F32x8>(depth_at);
    const I32x8 hit = (z > old) & (outside >= 0);
    taken |= hit;
    store(depth_at, hit ? z : old);
    store(primitive_at, hit ? id : load<I32x8>(primitive_at));
  }
  return lane_bits(taken) != 0 ? Filled::kYes : Filled::kNo;
}

bool Canvas::fill(std::span<const FixedPoint> corners, const PixelRect& scissor,
                  const InverseDepth& depth, std::uint32_t primitive) {
  FixedPoint low = corners[0];
  FixedPoint high = corners[0];
  for (const FixedPoint p : corners) {
    low = {std::min(low.x, p.x), std::min(low.y, p.y)};
    high = {std::max(high.x, p.x), std::max(high.y, p.y)};
  }
  const PixelRect box = intersect(scissor, {first_centre(low.x), first_centre(low.y),
                                            first_centre(high.x), first_centre(high.y)});
  if (box.empty()) return false;
  const bool is_small = box.x1 - box.x0 <= kLanes && corners.size() <= HalfPlanes::kMost &&
                        high.x - low.x <= HalfPlanes::kSmall &&
                        high.y - low.y <= HalfPlanes::kSmall;
  if (is_small) {
    const Filled filled = fill_small(corners, box, depth, primitive);
    if (filled != Filled::kNotTried) return filled == Filled::kYes;
  }
  for (int y = box.y0; y < box.y1; ++y) {
    left_[static_cast<std::size_t>(y)] = std::numeric_limits<std::int32_t>::max();
    right_[static_cast<std::size_t>(y)] = std::numeric_limits<std::int32_t>::min();
  }
  // Leftmost and rightmost crossing of each row: two for a convex polygon; if rounding to 1/256
  // pixel has bent one, it stays in one piece.
  for (std::size_t i = 0; i < corners.size(); ++i) {
    const FixedPoint a = corners[i];
    const FixedPoint b = corners[i + 1 < corners.size() ? i + 1 : 0];
    if (a.y < b.y) scan_edge(a, b, box.y0, box.y1);
    if (a.y > b.y) scan_edge(b, a, box.y0, box.y1);
  }
  return fill_spans(box, depth, primitive);
}

bool Canvas::hides(const PixelRect& rect, float inverse_depth) const {
  for (int y = rect.y0; y < rect.y1; ++y) {
    const float* const depth_row = depth_.data() + row(y);
    for (int x = rect.x0 & ~(kLanes - 1); x < rect.x1; x += kLanes) {
      const I32x8 column = kLaneIndex + x;
      const I32x8 farther = load<F32x8>(depth_row + x) < inverse_depth;
      if (lane_bits(farther & (column >= rect.x0) & (column < rect.x1)) != 0) return false;
    }
  }
  return true;
}

}  // namespace flare::render
