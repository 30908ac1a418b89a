// Input -> panels.
#pragma once

#include <algorithm>
#include <cstring>

#include "layout.hpp"
#include "table.hpp"

namespace tconv {

// Calls row(z, y) for each row of cells that the taps of a box read and that lies in the source, once a source phase:
//   copy(phase, position of cell x_begin, source index of it, count)
// `position` counts from the box's first cell.
template <class Copy>
void each_source_row(const Layout& at, const Box& box, const Copy& copy) {
  const Lattice &z = at.axis[0], &y = at.axis[1], &x = at.axis[2];
  int64_t phase = 0;
  for (int64_t rz : z.source_phases)
    for (int64_t ry : y.source_phases)
      for (int64_t rx : x.source_phases) {
        // Cells c with 0 <= (box.begin + c) * stride + rx - lo < size, among those that some tap reads.
        const int64_t origin = box.begin[3] * x.source_stride + rx - x.source_lo;
        const int64_t x_begin = std::max(x.nearest, -floor_div(origin, x.source_stride));
        const int64_t x_end = std::min(box.size[3] + x.farthest, floor_div(x.source_size - 1 - origin, x.source_stride) + 1);
        if (x_end > x_begin)
          for (int64_t cz = z.nearest; cz < box.size[1] + z.farthest; ++cz) {
            const int64_t sz = (box.begin[1] + cz) * z.source_stride + rz - z.source_lo;
            if (sz < 0 || sz >= z.source_size) continue;
            for (int64_t cy = y.nearest; cy < box.size[2] + y.farthest; ++cy) {
              const int64_t sy = (box.begin[2] + cy) * y.source_stride + ry - y.source_lo;
              if (sy < 0 || sy >= y.source_size) continue;
              copy(phase, at.panel.offset(cz, cy, x_begin),
                   (sz * y.source_size + sy) * x.source_size + origin + x_begin * x.source_stride, x_end - x_begin);
            }
          }
        ++phase;
      }
}

template <class T>
void pack_panel(const Layout& at, const KernelSet<T>& kernels, const T* source, int64_t batch_stride, const Box& box,
                T* panel) {
  const int64_t cells = at.panel.position(box.size[0] - 1, box.size[1] - 1, box.size[2] - 1) + box.size[3];
  for (int64_t d = 0; d < at.source_channels; ++d) {
    T* to = panel + d * at.panel.channel;
    const int64_t filled = at.panel.dense ? cells : 0;
    std::memset(to + filled, 0, static_cast<size_t>(at.panel.channel - filled) * sizeof(T));
    for (int64_t n = 0; n < box.size[0]; ++n) {
      const T* from = source + (box.begin[0] + n) * batch_stride + d * at.source_plane;
      T* item = to + at.panel.first + at.panel.position(n, 0, 0);
      each_source_row(at, box, [&](int64_t phase, int64_t position, int64_t index, int64_t count) {
        kernels.gather(from + index, at.axis[2].source_stride, count, item + phase * at.panel.row + position);
      });
    }
  }
}

}  // namespace tconv
