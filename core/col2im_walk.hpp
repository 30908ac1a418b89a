// How `col2im` walks over a box: its pieces, and the rows of kernels that reach from a piece into the target.
#pragma once

#include <algorithm>

#include "col2im.hpp"
#include "integers.hpp"

namespace tconv {

// Indices i of [0, count) for which 0 <= from + i * stride < extent.
struct Range {
  int64_t begin, end;
};
inline Range within(int64_t from, int64_t stride, int64_t count, int64_t extent) {
  const int64_t begin = std::clamp<int64_t>(ceil_div(std::max<int64_t>(-from, 0), stride), 0, count);
  return {begin, std::clamp<int64_t>(floor_div(extent - 1 - from, stride) + 1, begin, count)};
}

// All pieces of a box.
template <class Call>
void each_piece(const Plan& plan, const Col2im& at, const Cells& box, int64_t box_z, int64_t box_y,
                int64_t cell, int64_t cells, const Call& call) {
  const Problem& p = plan.problem;
  const int64_t most = std::get<Col2imPlan>(plan.part).positions;
  const int64_t height = p.input[1], width = p.input[2];
  const int64_t z0 = box_z * box[1], z1 = std::min(z0 + box[1], p.input[0]);
  const int64_t y0 = box_y * box[2], y1 = std::min(y0 + box[2], height);
  int64_t x0 = 0, x1 = width;
  if (at.boxes[3] > 1) {
    x0 = std::clamp<int64_t>(cell - at.farthest, 0, width);
    x1 = std::clamp<int64_t>(cell + cells - at.nearest, x0, width);
  }
  const auto rows = [&](int64_t begin, int64_t end) {
    if (x1 - x0 == width && width <= most) {
      for (int64_t row = begin; row < end; row += most / width)
        call(Piece{row, std::min(most / width, end - row), 0, width});
      return;
    }
    for (int64_t row = begin; row < end; ++row)
      for (int64_t x = x0; x < x1; x += most) call(Piece{row, 1, x, std::min(most, x1 - x)});
  };
  if (y1 - y0 == height) return rows(z0 * height, z1 * height);
  for (int64_t z = z0; z < z1; ++z) rows(z * height + y0, z * height + y1);
}

// Calls call(first row of the target, first row and rows of the piece, first element of the kernel's row) for
// each row of the kernel, along z and y, and each plane of the piece. Rows of the target count from (`out_z`,
// `out_y`), `rows_y` in a plane.
template <class Call>
void each_kernel_row(const Problem& p, const Piece& piece, int64_t out_z, int64_t out_y, int64_t rows_y,
                     const Call& call) {
  const int64_t height = p.input[1];
  for (int64_t row = piece.row; row < piece.row + piece.rows;) {
    const int64_t z = row / height, y = row % height,
                  rows = std::min(height - y, piece.row + piece.rows - row);
    for (int64_t kz = 0; kz < p.kernel[0]; ++kz) {
      const int64_t oz = z * p.stride[0] + kz * p.dilation[0] - p.lo[0];
      if (oz < 0 || oz >= p.output[0]) continue;
      for (int64_t ky = 0; ky < p.kernel[1]; ++ky) {
        const int64_t oy = y * p.stride[1] + ky * p.dilation[1] - p.lo[1];
        const Range own = within(oy, p.stride[1], rows, p.output[1]);
        if (own.begin == own.end) continue;
        const int64_t place = (oz - out_z) * rows_y + oy + own.begin * p.stride[1] - out_y;
        call(place, row - piece.row + own.begin, own.end - own.begin, (kz * p.kernel[1] + ky) * p.kernel[2]);
      }
    }
    row += rows;
  }
}

}  // namespace tconv
