#include "weights.hpp"

#include <algorithm>

#include "table.hpp"
#include "threads.hpp"

namespace tconv {

// Lanes of channels: [group][tile of columns][tap][source channel][column of the tile]
// else:              [group][block of rows][phase, unless stacked][tap][source channel][row of the block]
// A column, and a stacked row, is a target channel with one of its phases, phases first; but [phase][channel]
// for columns where channels are last in the target too, and phases whose taps differ then begin with a tile.
template <class S>
void pack_panels(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, S* packed) {
  const bool by_phase = at.by_phase(), channels = by_phase || at.store == Store::runs;
  const bool apart = by_phase && at.stacked == 1;  // all columns of a tile belong to one phase
  const int64_t depth = at.source_channels,
                phases = at.stacked > 1 || apart ? 1 : static_cast<int64_t>(at.phases.size());
  const int64_t group_weights = plan.problem.in_channels * plan.problem.out_channels * at.kernel_cells;
  const int64_t width = channels ? at.tile_lanes : part.rows,
                blocks = ceil_div(channels ? at.columns : at.rows, width);

  constexpr int64_t kDepthBlock = 16;
  parallel_for(plan.problem.groups * blocks, plan.most_threads, [&](int64_t task, int) {
    const int64_t group = task / blocks, first = task % blocks * width,
                  own_phase = apart ? first / at.phase_columns : 0;
    const int64_t begin = first - own_phase * at.phase_columns;
    const int64_t filled = std::min(width, at.rows - begin), padded = channels ? width : filled;
    const S* from = weight + group * group_weights;
    S* to = packed + group * at.packed_group + tile_offset(at, first);
    const size_t rows = static_cast<size_t>(filled);
    std::vector<int64_t> row_start(rows), row_phase(rows), start(rows);  // of each row in the weight array
    for (int64_t i = 0; i < filled; ++i) {
      const int64_t row = begin + i, channel = by_phase ? row % at.target_channels : row / at.stacked;
      row_start[static_cast<size_t>(i)] = channel * at.row_stride;
      row_phase[static_cast<size_t>(i)] = by_phase ? row / at.target_channels : row % at.stacked;
    }
    // A few source channels at a time: all their taps are in the same cache lines.
    for (int64_t block = 0; block < depth; block += kDepthBlock) {
      const int64_t end = std::min(block + kDepthBlock, depth);
      S* tap = to + block * padded;
      for (int64_t phase = own_phase; phase < own_phase + phases; ++phase) {
        const size_t taps = at.phases[static_cast<size_t>(phase)].kernel.size();
        for (size_t t = 0; t < taps; ++t, tap += depth * padded) {
          for (size_t i = 0; i < rows; ++i)
            start[i] = row_start[i] + at.phases[static_cast<size_t>(phase + row_phase[i])].kernel[t];
          S* out = tap;
          for (int64_t d = block; d < end; ++d, out += padded) {
            const S* own = from + d * at.depth_stride;
            for (int64_t i = 0; i < filled; ++i) out[i] = own[start[static_cast<size_t>(i)]];
            for (int64_t i = filled; i < padded; ++i) out[i] = S{};
          }
        }
      }
    }
  });
}

template <class S>
void pack_block(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, int64_t group,
                int64_t first, typename Storage<S>::T* block) {
  using T = typename Storage<S>::T;
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  const int64_t depth = at.source_channels,
                phases = at.stacked > 1 ? 1 : static_cast<int64_t>(at.phases.size());
  const int64_t group_weights = plan.problem.in_channels * plan.problem.out_channels * at.kernel_cells;
  const int64_t cells = at.kernel_cells, filled = std::min<int64_t>(part.rows, at.rows - first);
  const int64_t rows = round_up(filled, 16), first_channel = first / at.stacked, register_part = rows * 16;
  const int64_t channels = (first + filled - 1) / at.stacked + 1 - first_channel;
  const S* from = weight + group * group_weights + first_channel * at.row_stride;

  // Where each element of each kernel is stored in the first block of 32 channels, and the step to the next
  // block.
  std::vector<int64_t> places(static_cast<size_t>(channels * cells), -1), steps(places.size());
  for (int64_t phase = 0; phase < phases; ++phase) {
    const PhaseTaps& own = at.phases[static_cast<size_t>(phase)];
    const int64_t taps = static_cast<int64_t>(own.kernel.size()),
                  start = own.before * at.blocks * part.parts * register_part;
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t place = start + t * part.parts * register_part + i * 16,
                      step = taps * part.parts * register_part;
        if (i < filled) {
          const int64_t r = first + i, channel = r / at.stacked - first_channel;
          const size_t e = static_cast<size_t>(
              channel * cells +
              at.phases[static_cast<size_t>(phase + r % at.stacked)].kernel[static_cast<size_t>(t)]);
          places[e] = place, steps[e] = step;
        } else {
          for (int64_t k = 0; k < at.blocks * part.parts; ++k)
            std::fill_n(block + place + k / part.parts * step + k % part.parts * register_part, 16, T(0));
        }
      }
  }
  // Kernels of adjacent channels are read as one, where they are contiguous.
  const int64_t run = at.row_stride == cells ? channels * cells : cells;
  for (int64_t k = 0; k < at.blocks; ++k) {
    const int64_t count = std::min<int64_t>(32, depth - 32 * k);
    for (int64_t c = 0; c < channels * cells; c += run)
      for (int64_t e = 0; e < run; e += 16) {
        const int64_t some = std::min<int64_t>(16, run - e);
        int64_t own[16];
        bool any = false;
        for (int64_t i = 0; i < some; ++i) {
          const size_t at_e = static_cast<size_t>(c + e + i);
          own[i] = places[at_e] < 0 ? -1 : places[at_e] + k * steps[at_e];
          any = any || own[i] >= 0;
        }
        if (!any) continue;
        const S* square = from + 32 * k * at.depth_stride + c / cells * at.row_stride + e;
        if constexpr (Storage<S>::narrow) {
          T wide[32 * 16];
          for (int64_t d = 0; d < count; ++d)
            storage.loaded(square + d * at.depth_stride, some, wide + 16 * d);
          kernels.matrix.pack_kernels(wide, 16, count, some, part.parts, block, own, register_part);
        } else {
          kernels.matrix.pack_kernels(square, at.depth_stride, count, some, part.parts, block, own,
                                      register_part);
        }
      }
  }
}

// For matrix registers: [group][block of rows][phase, unless stacked][block of 32
// channels][tap][part][row][channel]
template <class S>
void pack_matrix(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, void* packed) {
  using T = typename Storage<S>::T;
  const int64_t blocks = ceil_div(at.rows, part.rows);
  parallel_for(plan.problem.groups * blocks, plan.most_threads, [&](int64_t task, int) {
    const int64_t group = task / blocks, first = task % blocks * part.rows;
    pack_block(plan, part, at, weight, group, first,
               static_cast<T*>(packed) + group * at.packed_group + first * at.depth * at.taps);
  });
}

#define TCONV_WEIGHTS(S)                                                                              \
  template void pack_panels(const Plan&, const PhasesPlan&, const Layout&, const S*, S*);             \
  template void pack_matrix(const Plan&, const PhasesPlan&, const Layout&, const S*, void*);          \
  template void pack_block(const Plan&, const PhasesPlan&, const Layout&, const S*, int64_t, int64_t, \
                           typename Storage<S>::T*);
TCONV_WEIGHTS(float)
TCONV_WEIGHTS(double)
TCONV_WEIGHTS(Half)
TCONV_WEIGHTS(Brain)

}  // namespace tconv
