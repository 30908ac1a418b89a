// Where the sums of a box are stored in the target: its rows, with the phases that they contain.
#pragma once

#include <algorithm>

#include "layout.hpp"

namespace tconv {

// The indices of a target row that the cells of a box reach.
struct Span {
  int64_t begin, skip, length;
  Span(const Lattice& axis, int64_t cell, int64_t cells) {
    const int64_t first = cell * axis.target_stride - axis.target_lo;
    begin = std::max<int64_t>(first, 0);
    skip = begin - first;
    length = std::min(first + cells * axis.target_stride, axis.target_size) - begin;
  }
};

template <class S> struct TargetRows {
  const Layout& at;

  // Calls rows(target row, position of its first cell, phase along z and y, span, count) for rows of the
  // target in the box that are consecutive along y: `row_step` apart in the target, and a row of the panel
  // apart in the sums.
  int64_t row_step() const { return at.axis[1].target_stride * at.axis[2].target_size; }
  template <class Rows>
  void each_row(const Box& box, S* plane, int64_t batch_stride, const Rows& rows) const {
    const Lattice &z = at.axis[0], &y = at.axis[1], &x = at.axis[2];
    const Span span(x, box.begin[3], box.size[3]);
    if (span.length <= 0) return;
    // Long rows are stored in memory order; halves, which are computed in scratch memory before they are
    // narrowed, many at a time.
    const bool together = sizeof(S) < sizeof(float) || span.length < 64;
    const int64_t some = together ? std::max<int64_t>(1, kRows / span.length) : 1;
    for (int64_t n = 0; n < box.size[0]; ++n)
      for (int64_t cz = 0; cz < box.size[1]; ++cz)
        for (int64_t rz = 0; rz < z.target_stride; ++rz) {
          const int64_t tz = (box.begin[1] + cz) * z.target_stride + rz - z.target_lo;
          if (tz < 0 || tz >= z.target_size) continue;
          for (int64_t cy = 0; cy < box.size[2]; cy += some)
            for (int64_t ry = 0; ry < y.target_stride; ++ry) {
              const int64_t origin = box.begin[2] * y.target_stride + ry - y.target_lo;  // of cell 0
              const int64_t begin = std::max(cy, ceil_div(-origin, y.target_stride));
              const int64_t end =
                  std::min({cy + some, box.size[2], ceil_div(y.target_size - origin, y.target_stride)});
              if (begin >= end) continue;
              const int64_t ty = origin + begin * y.target_stride;
              S* out = plane + n * batch_stride + (tz * y.target_size + ty) * x.target_size + span.begin;
              rows(out, at.panel.position(n, cz, begin), (rz * y.target_stride + ry) * x.target_stride, span,
                   end - begin);
            }
        }
  }

  // Calls row(number in the target of the first cell's first phase, position of that cell, cells, first and
  // last phase of each) for every row of cells in the box and for one phase along z and y: whole cells
  // together, cropped ones separately.
  template <class Row> void each_row_of_cells(int64_t phase, const Box& box, const Row& row) const {
    const Lattice& x = at.axis[2];
    const int64_t stride = x.target_stride, first = box.begin[3] * stride - x.target_lo, cells = box.size[3];
    const int64_t begin = std::clamp<int64_t>(-floor_div(first, stride), 0, cells);
    const int64_t end = std::clamp<int64_t>(floor_div(x.target_size - first, stride), begin, cells);
    each_line_of(phase, box, [&](int64_t line, int64_t position) {
      if (begin < end) row(line + first + begin * stride, position + begin, end - begin, 0, stride);
      for (int64_t c = 0; c < cells; ++c) {
        if (c == begin && begin < end) c = end;
        if (c == cells) break;
        const int64_t at_x = first + c * stride;
        row(line + at_x, position + c, 1, std::max<int64_t>(0, -at_x),
            std::min(stride, x.target_size - at_x));
      }
    });
  }

  // Calls row(number of its first cell in the target, position of that cell, cells) for every row of one
  // phase in the box.
  template <class Row> void each_row_of(int64_t phase, const Box& box, const Row& row) const {
    const Lattice& x = at.axis[2];
    const int64_t first = box.begin[3] * x.target_stride + phase % x.target_stride - x.target_lo;
    const int64_t begin = std::max<int64_t>(0, -floor_div(first, x.target_stride));
    const int64_t end = std::min(box.size[3], floor_div(x.target_size - 1 - first, x.target_stride) + 1);
    if (begin >= end) return;
    each_line_of(phase / x.target_stride, box, [&](int64_t line, int64_t position) {
      row(line + first + begin * x.target_stride, position + begin, end - begin);
    });
  }

  // Calls line(number of its first cell in the target, position of the box's cell there) for every line of
  // the target in the box that has one phase along z and y.
  template <class Line> void each_line_of(int64_t phase, const Box& box, const Line& line) const {
    const Lattice &z = at.axis[0], &y = at.axis[1], &x = at.axis[2];
    const int64_t ry = phase % y.target_stride, rz = phase / y.target_stride;
    for (int64_t n = 0; n < box.size[0]; ++n)
      for (int64_t cz = 0; cz < box.size[1]; ++cz) {
        const int64_t tz = (box.begin[1] + cz) * z.target_stride + rz - z.target_lo;
        if (tz < 0 || tz >= z.target_size) continue;
        for (int64_t cy = 0; cy < box.size[2]; ++cy) {
          const int64_t ty = (box.begin[2] + cy) * y.target_stride + ry - y.target_lo;
          if (ty < 0 || ty >= y.target_size) continue;
          line((box.begin[0] + n) * at.target_plane + (tz * y.target_size + ty) * x.target_size,
               at.panel.position(n, cz, cy));
        }
      }
  }
};

}  // namespace tconv
