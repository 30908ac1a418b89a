// What the four walkers of `phases` share: the arrays of a run, a task's part of them, tiles accumulated over
// a box, sums stored cell by cell. A walker computes the sums of one task's box, whose input is in the panel,
// and stores them. Layout::store says which walker a plan uses.
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

#include "setup.hpp"
#include "storage.hpp"
#include "store.hpp"
#include "table.hpp"
#include "weights.hpp"
#include "workers.hpp"

namespace tconv {

template <class S> struct Walk {
  using T = typename Storage<S>::T;
  const Plan& plan;
  const PhasesPlan& part;
  const Layout& at;
  const KernelSet<T>& kernels;
  const Storage<S>& storage;
  ActivationOf<T> activation;
  const void* packed;  // null: the tasks pack `weight`
  const S* weight;
  const T* bias;
  S* target;
  int64_t ahead;                        // how many numbers ahead weights are prefetched
  std::atomic<bool>* infinite_by_task;  // whether a task packed weights that are not finite

  // Whether a packed block of rows holds the bits of its weights (weights.hpp).
  bool lost(int64_t group, int64_t first) const {
    if (!part.parts) return false;
    const T* marks = static_cast<const T*>(packed) + plan.problem.groups * at.packed_group;
    return marks[group * ceil_div(at.rows, part.rows) + first / part.rows] != T(kParts);
  }
};

template <class S> struct Task {
  using T = typename Storage<S>::T;
  int64_t group, together;  // the first group, and how many
  int64_t begin, end;       // channels of the target, or columns by phase
  Box box;
  int64_t positions;  // from the box's first cell to its last
  const T* cells;     // the box's first cell in the panel
  T *sums, *turned, *line, *widened, *block;
  const S* source;  // of the first group
  int64_t packed_box;
  Exact* exact;
};

template <class S> void walk_interleaved(const Walk<S>& walk, const Task<S>& task);
template <class S> void walk_turned(const Walk<S>& walk, const Task<S>& task);
template <class S> void walk_runs(const Walk<S>& walk, const Task<S>& task);
template <class S> void walk_cells(const Walk<S>& walk, const Task<S>& task);

#define TCONV_WALKER(walker)                                      \
  template void walker(const Walk<float>&, const Task<float>&);   \
  template void walker(const Walk<double>&, const Task<double>&); \
  template void walker(const Walk<Half>&, const Task<Half>&);     \
  template void walker(const Walk<Brain>&, const Task<Brain>&);

// The sums of a block of rows and one phase in vectors, of the taps that exist (exact.cpp); `g`: the group
// within the task; `block`: the weights of that phase.
template <class S>
void sum_exactly(const Walk<S>& walk, const Task<S>& task, int64_t g, const typename Storage<S>::T* block,
                 int64_t first, int64_t phase, bool lost, typename Storage<S>::T* sums);

// Sums the block of rows that begins with `first`, one phase of them unless they are stacked, over the
// positions of the box; `g`: the group within the task; `lost`: whether the block holds bits.
template <class S>
void sum_rows(const Walk<S>& walk, const Task<S>& task, int64_t g, int64_t first, int64_t phase_index,
              bool lost, typename Storage<S>::T* sums) {
  using T = typename Storage<S>::T;
  const PhasesPlan& part = walk.part;
  const Layout& at = walk.at;
  const PhaseTaps& phase = at.phases[static_cast<size_t>(phase_index)];
  const int64_t depth = at.source_channels, taps = static_cast<int64_t>(phase.offsets.size());
  const int64_t rows = std::min<int64_t>(part.rows, task.end * at.stacked - first);
  const int64_t padded = part.parts ? round_up(rows, 16) : rows;
  const int64_t place =
      (task.group + g) * at.packed_group + first * at.depth * at.taps + phase.before * at.depth * padded;
  TileArgs<T> tile{};
  tile.a = !walk.packed ? task.block + phase.before * at.depth * padded
         : part.parts   ? static_cast<const T*>(walk.packed) + place
                        : walk.storage.loaded(static_cast<const S*>(walk.packed) + place, taps * depth * rows,
                                              task.widened);
  if constexpr (std::is_same_v<T, float>)
    if (part.parts && task.exact->needed(lost, tile.a, padded * at.depth * taps))
      return sum_exactly(walk, task, g, tile.a, first, phase_index, lost, sums);
  tile.a_step = rows, tile.a_tap = depth * rows;
  tile.b_on = 1, tile.b_step = at.panel.channel;
  tile.c_stride = at.sums_pitch;
  tile.ahead = walk.ahead;
  const T* weights = tile.a;
  const int64_t steps = part.steps ? part.steps : depth;
  const Strip whole{0, taps, 0, rows, false};
  const std::vector<Strip> uneven = at.uneven ? strips_of(at, first, rows) : std::vector<Strip>{};
  const Strip* strips = at.uneven ? uneven.data() : &whole;
  const size_t strip_count = at.uneven ? uneven.size() : 1;
  for (int64_t i = 0; i < task.positions; i += at.tile_lanes) {
    tile.b = task.cells + g * at.depth * at.panel.channel + i;
    const int64_t vectors = ceil_div(std::min(at.tile_lanes, task.positions - i), at.lanes);
    if (part.parts)
      walk.kernels.matrix.tile[part.parts - 1][padded / 16][vectors](
          {weights, tile.b, tile.b_step, at.blocks * 16 * at.panel.channel, phase.offsets.data(), taps,
           at.blocks, sums + i, tile.c_stride, walk.ahead});
    else
      for (int64_t d = 0; d < depth; d += steps, tile.b += steps * tile.b_step)
        for (size_t j = 0; j < strip_count; ++j) {
          const Strip& strip = strips[j];
          tile.a = weights + strip.tap * tile.a_tap + d * rows + strip.row;
          tile.offsets = phase.offsets.data() + strip.tap, tile.taps = strip.taps;
          tile.steps = std::min(steps, depth - d);
          tile.c = sums + strip.row * at.sums_pitch + i;
          tile.accumulate = d > 0 || j > 0;
          walk.kernels.tile[strip.rows][vectors](tile);
        }
  }
  // An infinity times the weight of a tap that does not exist is NaN.
  const auto bounded = [&] {
    for (int64_t r = 0; r < rows; ++r)
      if (!walk.kernels.bounded(sums + r * at.sums_pitch, task.positions)) return false;
    return true;
  };
  const bool zeros = at.uneven && (part.parts || std::any_of(strips, strips + strip_count,
                                                             [](const Strip& strip) { return strip.zeros; }));
  if (zeros && !bounded()) sum_exactly(walk, task, g, weights, first, phase_index, lost, sums);
}

// Computes the sums of all columns of a task.
template <class S> void sum_columns(const Walk<S>& walk, const Task<S>& task) {
  using T = typename Storage<S>::T;
  const Layout& at = walk.at;
  const int64_t rows = walk.part.rows, depth = at.source_channels;
  const bool by_phase = at.by_phase(), apart = by_phase && at.stacked == 1;  // a tile holds only one phase
  const int64_t apiece = by_phase ? 1 : at.stacked, begin = task.begin * apiece,
                columns = task.end * apiece - begin;
  TileArgs<T> tile{};
  tile.steps = depth;
  tile.a_on = 1, tile.a_step = at.panel.channel;
  tile.b_tap = depth * at.tile_lanes, tile.b_step = at.tile_lanes;
  tile.c_stride = at.sums_pitch;
  const S* weights = static_cast<const S*>(walk.packed) + task.group * at.packed_group;
  for (int64_t j = 0; j < columns; j += at.tile_lanes) {
    const PhaseTaps& phase = at.phases[static_cast<size_t>(apart ? (begin + j) / at.phase_columns : 0)];
    tile.taps = static_cast<int64_t>(phase.offsets.size());
    tile.offsets = phase.offsets.data();
    tile.b = walk.storage.loaded(weights + tile_offset(at, begin + j), tile.taps * tile.b_tap, task.widened);
    const int64_t filled = apart ? at.target_channels - (begin + j) % at.phase_columns : columns - j;
    const int64_t vectors = ceil_div(std::min(at.tile_lanes, filled), at.lanes);
    for (int64_t i = 0; i < task.positions; i += rows) {
      tile.a = task.cells + i;
      tile.c = task.sums + i * at.sums_pitch + j;
      walk.kernels.tile[std::min(rows, task.positions - i)][vectors](tile);
    }
  }
}

// Channels last: stores channels from c on of one phase, whose sums are [position][pitch].
template <class S>
void lay_phase(const Walk<S>& walk, const Task<S>& task, int64_t phase, int64_t c, int64_t channels,
               const typename Storage<S>::T* from, int64_t pitch) {
  const Layout& at = walk.at;
  const int64_t first = task.group * at.target_channels + c,
                step = at.axis[2].target_stride * at.target.position;
  const TargetRows<S> rows{at};
  rows.each_row_of(phase, task.box, [&](int64_t cell, int64_t position, int64_t count) {
    S* out = walk.target + cell * at.target.position + task.group * at.target.group + c;
    walk.storage.finish_cells(walk.kernels, walk.activation.from(first), from + position * pitch, pitch,
                              count, channels, walk.bias ? walk.bias + first : nullptr, out, step, task.line,
                              at.line);
  });
}

}  // namespace tconv
