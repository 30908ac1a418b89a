// Input -> panels.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "layout.hpp"
#include "storage.hpp"
#include "table.hpp"

namespace tconv {

// The cells [begin, end) of a row that one phase along x reads from within the source; cell c is source index
// origin + c * stride.
struct Stretch {
  int64_t begin, end, origin;
  Stretch(const Lattice& x, const Box& box, int64_t phase)
      : origin(box.begin[3] * x.source_stride + phase - x.source_lo) {
    begin = std::max(x.nearest, -floor_div(origin, x.source_stride));
    end = std::max(begin, std::min(box.size[3] + x.farthest, floor_div(x.source_size - 1 - origin, x.source_stride) + 1));
  }
};

// Calls line(number of its first source phase, position of its cell 0, source index of its element 0) for each row of
// cells that the taps of a box read and that lies in the source, once for every phase along z and y. Positions count from
// the box's first cell.
template <class Line>
void each_source_line(const Layout& at, const Box& box, const Line& line) {
  const Lattice &z = at.axis[0], &y = at.axis[1], &x = at.axis[2];
  int64_t phase = 0;
  for (int64_t rz : z.source_phases)
    for (int64_t ry : y.source_phases) {
      for (int64_t cz = z.nearest; cz < box.size[1] + z.farthest; ++cz) {
        const int64_t sz = (box.begin[1] + cz) * z.source_stride + rz - z.source_lo;
        if (sz < 0 || sz >= z.source_size) continue;
        for (int64_t cy = y.nearest; cy < box.size[2] + y.farthest; ++cy) {
          const int64_t sy = (box.begin[2] + cy) * y.source_stride + ry - y.source_lo;
          if (sy < 0 || sy >= y.source_size) continue;
          line(phase, at.panel.offset(cz, cy, 0), (sz * y.source_size + sy) * x.source_size);
        }
      }
      phase += static_cast<int64_t>(x.source_phases.size());
    }
}

// `wide`: room for a row of the source, where it has to be widened before it is dealt out.
template <class Storage, class S, class T>
void pack_panel(const Layout& at, const KernelSet<T>& kernels, const Storage& storage, const S* source,
                int64_t batch_stride, const Box& box, T* panel, T* wide) {
  const Lattice& x = at.axis[2];
  const int64_t stride = x.source_stride, phases = static_cast<int64_t>(x.source_phases.size());
  std::vector<Stretch> stretches;
  for (int64_t phase : x.source_phases) stretches.emplace_back(x, box, phase);
  // Where all phases of a big stride are read, the cells that all of them find in the source are dealt out together.
  int64_t begin = 0, end = 0;
  if (stride > 2 && phases == stride && std::is_sorted(x.source_phases.begin(), x.source_phases.end())) {
    begin = stretches.front().begin, end = stretches.back().end;
    for (const Stretch& s : stretches) begin = std::max(begin, s.begin), end = std::min(end, s.end);
    end = std::max(begin, end);
  }
  int64_t first = x.source_size, last = 0;  // what is read of a row
  for (const Stretch& s : stretches)
    if (s.begin < s.end) first = std::min(first, s.origin + s.begin * stride), last = std::max(last, s.origin + (s.end - 1) * stride + 1);

  const int64_t cells = at.panel.position(box.size[0] - 1, box.size[1] - 1, box.size[2] - 1) + box.size[3];
  for (int64_t d = 0; d < at.depth; ++d) {
    T* to = panel + d * at.panel.channel;
    const bool there = d * storage.fold < at.source_channels;  // the depth of `matrix` may be padded
    const int64_t filled = at.panel.dense && there ? cells : 0;
    std::memset(to + filled, 0, static_cast<size_t>(at.panel.channel - filled) * sizeof(T));
    const auto& channel = storage.channel(d, at);
    for (int64_t n = 0; n < box.size[0] && there; ++n) {
      const S* from = source + (box.begin[0] + n) * batch_stride + d * storage.fold * at.source_plane;
      T* item = to + at.panel.first + at.panel.position(n, 0, 0);
      each_source_line(at, box, [&](int64_t phase, int64_t position, int64_t index) {
        T* row = item + phase * at.panel.row + position;
        if (last <= first) return;
        if (storage.narrow && stride == 1) {
          channel.load(from + index + first, last - first, row + stretches[0].begin);
          return;
        }
        const T* line = channel.loaded(from + index + first, last - first, wide);
        if (end > begin)
          kernels.deal(line + stretches[0].origin + begin * stride - first, stride, end - begin, row + begin, at.panel.row);
        for (const Stretch& s : stretches) {
          const int64_t upto = end > begin ? begin : s.end, again = end > begin ? end : s.end;
          if (s.begin < upto) kernels.gather(line + s.origin + s.begin * stride - first, stride, upto - s.begin, row + s.begin);
          if (again < s.end) kernels.gather(line + s.origin + again * stride - first, stride, s.end - again, row + again);
          row += at.panel.row;
        }
      });
    }
  }
}

}  // namespace tconv
