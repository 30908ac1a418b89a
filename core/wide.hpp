// y in memory order, for kernels whose rows are whole vectors: box by box, with zeros around it.
#pragma once

#include <algorithm>

#include "layout.hpp"
#include "storage.hpp"
#include "table.hpp"

namespace tconv {

struct Wide {
  int64_t size[3];  // of y's panel
  int64_t x_panel, y_panel;

  Wide(const Problem& p, const Cells& box) {
    for (int i = 0; i < 3; ++i)
      size[i] = (box[i + 1] - 1) * p.stride[i] + p.dilation[i] * (p.kernel[i] - 1) + 1;
    x_panel = box[0] * box[1] * box[2] * box[3] * p.in_channels;
    y_panel = box[0] * size[0] * size[1] * size[2];
  }
};

// Copies the part of one channel of y that a box reads, with zeros outside of y.
template <class S, class T>
void copy_plane(const Problem& p, const KernelSet<T>& kernels, const Storage<S>& storage, const Wide& wide,
                const Box& box, const S* y, const Side& side, T* to) {
  int64_t origin[3];
  for (int i = 0; i < 3; ++i) origin[i] = box.begin[i + 1] * p.stride[i] - p.lo[i];
  const int64_t begin = std::clamp<int64_t>(-origin[2], 0, wide.size[2]);
  const int64_t end = std::clamp<int64_t>(p.output[2] - origin[2], begin, wide.size[2]);
  for (int64_t n = 0; n < box.size[0]; ++n)
    for (int64_t z = 0; z < wide.size[0]; ++z)
      for (int64_t r = 0; r < wide.size[1]; ++r, to += wide.size[2]) {
        const int64_t sz = origin[0] + z, sy = origin[1] + r;
        const bool inside = sz >= 0 && sz < p.output[0] && sy >= 0 && sy < p.output[1];
        const int64_t first = inside ? begin : wide.size[2], last = inside ? end : wide.size[2];
        std::fill(to, to + first, T(0));
        if (inside && last > first)
          storage.gather(kernels,
                         y + (box.begin[0] + n) * side.batch +
                             ((sz * p.output[1] + sy) * p.output[2] + origin[2] + first) * side.position,
                         side.position, last - first, to + first);
        std::fill(to + last, to + wide.size[2], T(0));
      }
}

}  // namespace tconv
