// The planes of one image while it is drawn: which primitive each pixel shows and its 1/depth.
// Colours are worked out afterwards, once per pixel (shade.hpp).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "render/view.hpp"

namespace flare::render {

/// 1/depth as a function of pixel centres: a x + b y + c, and its range over the polygon.
struct InverseDepth {
  float a = 0.0F, b = 0.0F, c = 0.0F;
  float low = 0.0F, high = 0.0F;
};

/// Pixel position in 1/256 pixel.
struct FixedPoint {
  std::int32_t x = 0, y = 0;
};

inline constexpr int kSubpixelBits = 8;
/// Largest |coordinate| in pixels that fill() takes.
inline constexpr float kGuardBand = 16384.0F;

class Canvas {
 public:
  static constexpr std::uint32_t kNothing = 0;

  void resize(int width, int height);
  void clear();

  /// Draws a convex polygon, corners in either direction. A pixel is covered if its centre lies in
  /// the polygon; centres on a left or top edge belong to it, on a right or bottom edge not, so
  /// polygons that share an edge leave no gap and do not overlap. Exact in integers.
  /// A pixel takes the primitive if it is nearer than what is there; at equal depth what is there
  /// stays. Returns whether any pixel took it.
  bool fill(std::span<const FixedPoint> corners, const PixelRect& scissor,
            const InverseDepth& depth, std::uint32_t primitive);

  /// Is every pixel of the rectangle taken by something nearer than 1/inverse_depth?
  [[nodiscard]] bool hides(const PixelRect& rect, float inverse_depth) const;

  [[nodiscard]] int width() const { return width_; }
  [[nodiscard]] int height() const { return height_; }
  /// Rows are `stride()` long, a multiple of the vector width.
  [[nodiscard]] int stride() const { return stride_; }
  [[nodiscard]] const float* inverse_depth(int y) const { return depth_.data() + row(y); }
  [[nodiscard]] const std::uint32_t* primitives(int y) const { return primitive_.data() + row(y); }

 private:
  [[nodiscard]] std::size_t row(int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(stride_);
  }
  void scan_edge(FixedPoint top, FixedPoint bottom, int y0, int y1);
  enum class Filled : std::uint8_t { kNo, kYes, kNotTried };
  /// Of at most eight columns, without divisions; not tried for what has to be done in spans.
  Filled fill_small(std::span<const FixedPoint> corners, const PixelRect& box,
                    const InverseDepth& plane, std::uint32_t primitive);
  [[nodiscard]] bool fill_spans(const PixelRect& box, const InverseDepth& plane,
                                std::uint32_t primitive);

  int width_ = 0, height_ = 0, stride_ = 0;
  std::vector<float> depth_;                // 1/m, 0 where nothing is
  std::vector<std::uint32_t> primitive_;    // kNothing where nothing is
  std::vector<std::int32_t> left_, right_;  // [height] span of the polygon being filled
};

}  // namespace flare::render
