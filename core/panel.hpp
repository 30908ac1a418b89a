// Panel packing: input -> panels.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>
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
    end = std::max(begin, std::min(box.size[3] + x.farthest,
                                   floor_div(x.source_size - 1 - origin, x.source_stride) + 1));
  }
};

// Calls line(number of its first source phase, position of its cell 0, source index of its element 0) for
// each row of cells that the taps of a box read and that lies in the source, once for every phase along z and
// y. Positions are counted from the box's first cell.
template <class Line> void each_source_line(const Layout& at, const Box& box, const Line& line) {
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
          line(phase, at.window.offset(cz, cy, 0), (sz * y.source_size + sy) * x.source_size);
        }
      }
      phase += static_cast<int64_t>(x.source_phases.size());
    }
}

// Rows of small maps are too short to be worth a call.
template <class T> inline void copy_row(const T* from, int64_t count, T* to) {
  if (count > 32) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
    return;
  }
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) std::memcpy(to + i, from + i, 4 * sizeof(T));
  for (; i < count; ++i) to[i] = from[i];
}

constexpr int64_t kAhead = 2;  // channels

// Copies source channels into the rows of a panel, for one box. `line`: room for a row of the source, where
// it is widened before it is distributed to the phases.
template <class S> class PanelPacker {
 public:
  using T = typename Storage<S>::T;
  PanelPacker(const Layout& layout, const KernelSet<T>& set, const Storage<S>& store, const Box& place,
              T* line)
      : at(layout), kernels(set), storage(store), box(place), scratch(line) {
    const Lattice& x = at.axis[2];
    const int64_t phases = static_cast<int64_t>(x.source_phases.size());
    for (int64_t phase : x.source_phases) stretches.emplace_back(x, box, phase);
    // Where all phases of a large stride are read, the cells that all of them have in the source are
    // distributed together.
    if (stride > 2 && phases == stride && std::is_sorted(x.source_phases.begin(), x.source_phases.end())) {
      begin = stretches.front().begin, end = stretches.back().end;
      for (const Stretch& s : stretches) begin = std::max(begin, s.begin), end = std::min(end, s.end);
      end = std::max(begin, end);
    }
    for (const Stretch& s : stretches)
      if (s.begin < s.end) {
        first = std::min(first, s.origin + s.begin * stride);
        past = std::max(past, s.origin + (s.end - 1) * stride + 1);
      }
  }

  // `ahead`: how many channels follow these; the first of them are prefetched.
  void pack(const S* source, int64_t channels, int64_t ahead, T* panel) const {
    for (int64_t d = 0; d < channels; ++d) clear(panel + d * at.window.channel);
    if (at.source.position > 1) return turn(source, channels, panel);
    for (int64_t d = 0; d < channels; ++d)
      copy(source + d * at.source.channel, channels + ahead - d > kAhead, panel + d * at.window.channel);
  }

  // The same for matrix registers, split into parts at once: pairs of channels, `part` from one part to the
  // next.
  bool cuts() const { return stride == 1 && at.source.position == 1; }
  bool cut(const T* source, int64_t channels, int parts, T* panel, int64_t part) const {
    bool lost = false;
    for (int64_t d = 0; d < channels; d += 2, panel += at.window.channel) {
      for (int p = 0; p < parts; ++p) clear(panel + p * part);
      for (int64_t n = 0; n < box.size[0] && first < past; ++n) {
        const T* even = source + (box.begin[0] + n) * at.source.batch + d * at.source.channel;
        const T* odd = d + 1 < channels ? even + at.source.channel : nullptr;
        T* item = panel + at.window.first + at.window.position(n, 0, 0) + stretches[0].begin;
        each_source_line(at, box, [&](int64_t phase, int64_t position, int64_t index) {
          if (d + 2 < channels) ask_for(even + index + 2 * at.source.channel);
          if (d + 3 < channels) ask_for(odd + index + 2 * at.source.channel);
          lost |=
              kernels.matrix.split_pairs(even + index + first, odd ? odd + index + first : nullptr,
                                         past - first, parts, item + phase * at.window.row + position, part);
        });
      }
    }
    return lost;
  }

 private:
  // The hardware prefetcher does not follow rows that are a plane apart.
  void ask_for(const S* line) const {
    for (int64_t i = first; i < past; i += 64 / static_cast<int64_t>(sizeof(S))) __builtin_prefetch(line + i);
  }

  void clear(T* row) const {
    const int64_t cells = at.window.position(box.size[0] - 1, box.size[1] - 1, box.size[2] - 1) + box.size[3];
    const int64_t filled = at.window.dense ? cells : 0;
    std::memset(row + filled, 0, static_cast<size_t>(at.window.channel - filled) * sizeof(T));
  }

  // Channels last: all channels of a line are transposed together.
  void turn(const S* source, int64_t channels, T* panel) const {
    for (int64_t n = 0; n < box.size[0]; ++n)
      each_source_line(at, box, [&](int64_t phase, int64_t position, int64_t index) {
        const S* line = source + (box.begin[0] + n) * at.source.batch + index * at.source.position;
        T* row = panel + at.window.first + at.window.position(n, 0, 0) + phase * at.window.row + position;
        for (const Stretch& s : stretches) {
          storage.transpose(kernels, line + (s.origin + s.begin * stride) * at.source.position,
                            stride * at.source.position, 1, channels, s.end - s.begin, row + s.begin,
                            at.window.channel);
          row += at.window.row;
        }
      });
  }

  void copy(const S* source, bool ask, T* to) const {
    for (int64_t n = 0; n < box.size[0]; ++n) {
      const S* from = source + (box.begin[0] + n) * at.source.batch;
      T* item = to + at.window.first + at.window.position(n, 0, 0);
      each_source_line(at, box, [&](int64_t phase, int64_t position, int64_t index) {
        if (past <= first) return;
        T* row = item + phase * at.window.row + position;
        if (ask) ask_for(from + index + kAhead * at.source.channel);
        if (storage.narrow && stride == 1)
          return storage.gather(kernels, from + index + first, 1, past - first, row + stretches[0].begin);
        if constexpr (!Storage<S>::narrow)
          if (stride == 1) return copy_row(from + index + first, past - first, row + stretches[0].begin);
        const T* line = storage.loaded(from + index + first, past - first, scratch);
        if (end > begin)
          kernels.deal(line + stretches[0].origin + begin * stride - first, stride, end - begin, row + begin,
                       at.window.row);
        for (const Stretch& s : stretches) {
          const int64_t upto = end > begin ? begin : s.end, again = end > begin ? end : s.end;
          if (s.begin < upto)
            kernels.gather(line + s.origin + s.begin * stride - first, stride, upto - s.begin, row + s.begin);
          if (again < s.end)
            kernels.gather(line + s.origin + again * stride - first, stride, s.end - again, row + again);
          row += at.window.row;
        }
      });
    }
  }

  const Layout& at;
  const KernelSet<T>& kernels;
  const Storage<S>& storage;
  const Box& box;
  T* scratch;
  const int64_t stride = at.axis[2].source_stride;
  std::vector<Stretch> stretches;
  int64_t begin = 0, end = 0;                        // cells that are distributed
  int64_t first = at.axis[2].source_size, past = 0;  // what a row reads of the source, all phases together
};

// im2col: what one tap's distance reads of a window's row.
template <class T> void copy_cells(const Layout& at, int64_t distance, const T* window, T* row) {
  T* to = row;
  for (int64_t n = 0; n < at.box[0]; ++n)
    for (int64_t z = 0; z < at.box[1]; ++z)
      for (int64_t y = 0; y < at.box[2]; ++y, to += at.box[3])
        copy_row(window + distance + at.window.position(n, z, y), at.box[3], to);
  std::fill(to, row + at.panel.row, T(0));
}

// `rows`: for im2col, room for the windows of a few channels.
template <class S, class T>
void pack_panel(const Layout& at, const KernelSet<T>& kernels, const Storage<S>& storage, const S* source,
                int64_t channels, const Box& box, T* panel, T* rows, T* line) {
  const PanelPacker<S> packer(at, kernels, storage, box, line);
  if (at.distances.empty()) return packer.pack(source, channels, 0, panel);
  for (int64_t d = 0; d < channels; d += at.staged) {
    const int64_t some = std::min(at.staged, channels - d);
    packer.pack(source + d * at.source.channel, some, channels - d - some, rows);
    for (int64_t i = 0; i < some; ++i) {
      T* row = panel + (d + i) * at.panel.channel;
      for (int64_t distance : at.distances)
        copy_cells(at, distance, rows + i * at.window.channel, row), row += at.copy;
    }
  }
}

// For matrix registers: [part][pair of channels][position], whole blocks of 16 pairs, by way of `rows`, which
// holds a few channels. Returns whether some number is not the sum of its parts.
template <class S, class T>
bool pack_pairs(const Layout& at, const KernelSet<T>& kernels, const Storage<S>& storage, const S* source,
                int parts, const Box& box, T* panel, T* rows, T* line) {
  const PanelPacker<S> packer(at, kernels, storage, box, line);
  const int64_t row = at.panel.channel, part = at.blocks * 16 * row, depth = at.source_channels;
  int64_t done = 0;
  bool lost = false;
  if constexpr (std::is_same_v<S, T>)
    if (packer.cuts()) lost = packer.cut(source, depth, parts, panel, part), done = depth;
  for (int64_t d = done; d < depth; d += at.staged) {
    const int64_t channels = std::min(at.staged, depth - d);
    packer.pack(source + d * at.source.channel, channels, depth - d - channels, rows);
    for (int64_t i = 0; i < channels; i += 2)
      lost |= kernels.matrix.split_pairs(rows + i * row, i + 1 < channels ? rows + (i + 1) * row : nullptr,
                                         row, parts, panel + (d + i) / 2 * row, part);
  }
  const int64_t pairs = ceil_div(depth, 2), blank = at.blocks * 16 - pairs;
  for (int64_t p = 0; p < parts; ++p) std::fill_n(panel + p * part + pairs * row, blank * row, T(0));
  return lost;
}

}  // namespace tconv
