// Input -> panels.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "layout.hpp"
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

constexpr int64_t kAhead = 2;  // channels

// Source channels into rows of a panel, one after the other.
template <class T, class Put>
void each_source_channel(const Layout& at, const KernelSet<T>& kernels, const T* source, int64_t channels, int64_t batch_stride,
                         const Box& box, const Put& put) {
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

  // What a row reads of the source, all phases together.
  struct { int64_t begin, end; } whole{at.axis[2].source_size, 0};
  for (const Stretch& s : stretches)
    if (s.begin < s.end)
      whole.begin = std::min(whole.begin, s.origin + s.begin * stride), whole.end = std::max(whole.end, s.origin + (s.end - 1) * stride + 1);

  const int64_t cells = at.panel.position(box.size[0] - 1, box.size[1] - 1, box.size[2] - 1) + box.size[3];
  for (int64_t d = 0; d < channels; ++d) {
    T* to = put(d);
    const int64_t filled = at.panel.dense ? cells : 0;
    std::memset(to + filled, 0, static_cast<size_t>(at.panel.channel - filled) * sizeof(T));
    for (int64_t n = 0; n < box.size[0]; ++n) {
      const T* from = source + (box.begin[0] + n) * batch_stride + d * at.source_plane;
      T* item = to + at.panel.first + at.panel.position(n, 0, 0);
      each_source_line(at, box, [&](int64_t phase, int64_t position, int64_t index) {
        const T* line = from + index;
        T* row = item + phase * at.panel.row + position;
        // The processor sees no pattern in stretches that are a plane apart.
        if (d + kAhead < channels)
          for (int64_t i = whole.begin; i < whole.end; i += 64 / static_cast<int64_t>(sizeof(T)))
            __builtin_prefetch(line + kAhead * at.source_plane + i);
        if (end > begin)
          kernels.deal(line + stretches[0].origin + begin * stride, stride, end - begin, row + begin, at.panel.row);
        for (const Stretch& s : stretches) {
          const int64_t upto = end > begin ? begin : s.end, again = end > begin ? end : s.end;
          if (s.begin < upto) kernels.gather(line + s.origin + s.begin * stride, stride, upto - s.begin, row + s.begin);
          if (again < s.end) kernels.gather(line + s.origin + again * stride, stride, s.end - again, row + again);
          row += at.panel.row;
        }
      });
    }
  }
}

template <class T>
void pack_panel(const Layout& at, const KernelSet<T>& kernels, const T* source, int64_t channels, int64_t batch_stride,
                const Box& box, T* panel) {
  each_source_channel(at, kernels, source, channels, batch_stride, box, [&](int64_t d) { return panel + d * at.panel.channel; });
}

// For matrix registers: [part][pair of channels][position], whole blocks of 16 pairs. `rows`: two channels' worth.
template <class T>
void pack_pairs(const Layout& at, const KernelSet<T>& kernels, const T* source, int64_t batch_stride, const Box& box,
                T* panel, T* rows) {
  const int64_t channel = at.panel.channel, part = at.blocks * 16 * channel;
  const auto finish = [&](int64_t channels) {  // the pair that the last of so many channels belongs to
    const bool both = channels % 2 == 0;
    kernels.matrix.split_pairs(rows, both ? rows + channel : nullptr, channel, panel + (channels - 1) / 2 * channel, part);
  };
  each_source_channel(at, kernels, source, at.source_channels, batch_stride, box, [&](int64_t d) {
    if (d > 0 && d % 2 == 0) finish(d);
    return rows + d % 2 * channel;
  });
  finish(at.source_channels);
  const int64_t pairs = ceil_div(at.source_channels, 2);
  for (int64_t p = 0; p < at.depth / at.blocks / 16; ++p) std::fill_n(panel + p * part + pairs * channel, (at.blocks * 16 - pairs) * channel, T(0));
}

}  // namespace tconv
