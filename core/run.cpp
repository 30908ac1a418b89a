// Walk a plan: pack the weights once; then, box by box, pack the input, let the register tiles sum, and store.
#include "run.hpp"

#include <algorithm>

#include "gradient.hpp"
#include "panel.hpp"
#include "segments.hpp"
#include "table.hpp"
#include "threads.hpp"
#include "workers.hpp"

namespace tconv {

Runner::Runner(const Plan& plan) : plan_(plan) {
  if (plan.algorithm == Algorithm::reference) return;
  if (plan.algorithm == Algorithm::winograd) {
    winograd_ = make_winograd(plan);
    packed_ = winograd_packed(plan, winograd_) * dtype_size(plan.dtype);
    workspace_ = winograd_workspace(winograd_) * dtype_size(plan.dtype);
    return;
  }
  layout_ = make_layout(plan);
  if (plan.map == Map::weight_gradient) {
    const auto workspace = plan.algorithm == Algorithm::dots ? dot_gradient_workspace
                           : plan.lanes == Lanes::kernel     ? wide_gradient_workspace
                                                             : gradient_workspace;
    workspace_ = workspace(plan_, layout_);
    shared_ = segments_beside(plan) * dtype_size(plan.dtype);
  } else if (plan.algorithm == Algorithm::dots) {
    workspace_ = dot_conv_workspace(plan_, layout_);
  } else {
    packed_ = plan.problem.groups * layout_.packed_group * dtype_size(plan.dtype);
    const int64_t rows = layout_.together * layout_.depth + layout_.staged;
    workspace_ = (rows * layout_.panel.channel + layout_.sums + layout_.turned) * dtype_size(plan.dtype);
  }
}

namespace {

// Where the packed weights of the tile that begins with a row or column lie within those of its group.
int64_t tile_offset(const Layout& at, int64_t first) {
  if (!at.by_phase || at.stacked > 1) return first * at.source_channels * at.taps;
  const PhaseTaps& phase = at.phases[static_cast<size_t>(first / at.phase_columns)];
  const int64_t within = first % at.phase_columns, taps = static_cast<int64_t>(phase.offsets.size());
  return (phase.before * at.phase_columns + within * taps) * at.source_channels;
}

}  // namespace

// ---- weights -> panels ----------------------------------------------------------------------------------------------

// Lanes::channels:  [group][tile of columns][tap][source channel][column of the tile]
// else:             [group][block of rows][phase, unless stacked][tap][source channel][row of the block]
// A column, and a stacked row, is a target channel with one of its phases, phases first; but [phase][channel] for columns
// where channels are last in the target too, and phases whose taps differ then begin with a tile.
template <class T>
void Runner::pack_as(const T* weight, T* packed) const {
  if (plan_.parts) return pack_matrix(weight, packed);
  const Plan& plan = plan_;
  const Layout& at = layout_;
  const bool channels = plan.lanes == Lanes::channels;
  const bool apart = at.by_phase && at.stacked == 1;  // a tile's columns are all of one phase
  const int64_t depth = at.source_channels, phases = at.stacked > 1 || apart ? 1 : static_cast<int64_t>(at.phases.size());
  const int64_t group_weights = plan.problem.in_channels * plan.problem.out_channels * at.kernel_cells;
  const int64_t width = channels ? at.tile_lanes : plan.rows, blocks = ceil_div(channels ? at.columns : at.rows, width);

  constexpr int64_t kDepthBlock = 16;
  parallel_for(plan.problem.groups * blocks, plan.most_threads, [&](int64_t task, int) {
    const int64_t group = task / blocks, first = task % blocks * width, own_phase = apart ? first / at.phase_columns : 0;
    const int64_t begin = first - own_phase * at.phase_columns;
    const int64_t filled = std::min(width, at.rows - begin), padded = channels ? width : filled;
    const T* from = weight + group * group_weights;
    T* to = packed + group * at.packed_group + tile_offset(at, first);
    const size_t rows = static_cast<size_t>(filled);
    std::vector<int64_t> row_start(rows), row_phase(rows), start(rows);  // of each row in the weight array
    for (int64_t i = 0; i < filled; ++i) {
      const int64_t row = begin + i, channel = at.by_phase ? row % at.target_channels : row / at.stacked;
      row_start[static_cast<size_t>(i)] = channel * at.row_stride;
      row_phase[static_cast<size_t>(i)] = at.by_phase ? row / at.target_channels : row % at.stacked;
    }
    // A few source channels at a time: all their taps lie in the same lines.
    for (int64_t block = 0; block < depth; block += kDepthBlock) {
      const int64_t end = std::min(block + kDepthBlock, depth);
      T* tap = to + block * padded;
      for (int64_t phase = own_phase; phase < own_phase + phases; ++phase) {
        const size_t taps = at.phases[static_cast<size_t>(phase)].kernel.size();
        for (size_t t = 0; t < taps; ++t, tap += depth * padded) {
          for (size_t i = 0; i < rows; ++i)
            start[i] = row_start[i] + at.phases[static_cast<size_t>(phase + row_phase[i])].kernel[t];
          T* out = tap;
          for (int64_t d = block; d < end; ++d, out += padded) {
            const T* own = from + d * at.depth_stride;
            for (int64_t i = 0; i < filled; ++i) out[i] = own[start[static_cast<size_t>(i)]];
            for (int64_t i = filled; i < padded; ++i) out[i] = T(0);
          }
        }
      }
    }
  });
}

// For matrix registers: [group][block of rows][phase, unless stacked][block of 32 channels][tap][part][row][channel]
template <class T>
void Runner::pack_matrix(const T* weight, T* packed) const {
  const Plan& plan = plan_;
  const Layout& at = layout_;
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const int64_t depth = at.source_channels, phases = at.stacked > 1 ? 1 : static_cast<int64_t>(at.phases.size());
  const int64_t group_weights = plan.problem.in_channels * plan.problem.out_channels * at.kernel_cells;
  const int64_t blocks = ceil_div(at.rows, plan.rows), cells = at.kernel_cells;

  parallel_for(plan.problem.groups * blocks, plan.most_threads, [&](int64_t task, int) {
    const int64_t group = task / blocks, first = task % blocks * plan.rows, filled = std::min<int64_t>(plan.rows, at.rows - first);
    const int64_t rows = round_up(filled, 16), first_channel = first / at.stacked;
    const int64_t channels = (first + filled - 1) / at.stacked + 1 - first_channel;
    const T* from = weight + group * group_weights + first_channel * at.row_stride;
    T* block = packed + group * at.packed_group + first * at.depth * at.taps;
    // Whole kernels are turned, [target channel][element][32 source channels], unless only few of their elements are wanted.
    const bool turned = channels * cells <= 2 * filled * at.taps;
    std::vector<T> slab(static_cast<size_t>(turned ? channels * cells * 32 : 0));
    for (int64_t k = 0; k < at.blocks; ++k) {
      const int64_t count = std::min<int64_t>(32, depth - 32 * k);
      const T* start = from + 32 * k * at.depth_stride;
      const bool together = at.row_stride == cells;  // kernels of neighbouring target channels
      for (int64_t c = 0; turned && c < (together ? 1 : channels); ++c)
        kernels.transpose(start + c * at.row_stride, at.depth_stride, 1, together ? channels * cells : cells, count,
                          slab.data() + c * cells * 32, 32);
      for (int64_t phase = 0; phase < phases; ++phase) {
        const PhaseTaps& own = at.phases[static_cast<size_t>(phase)];
        const int64_t taps = static_cast<int64_t>(own.kernel.size());
        for (int64_t t = 0; t < taps; ++t) {
          T* to = block + ((own.before * at.blocks + k * taps + t) * rows) * (at.depth / at.blocks);
          for (int64_t i = 0; i < rows; ++i) {
            alignas(64) T gathered[32] = {};
            const T* row = gathered;
            if (i < filled) {
              const int64_t r = first + i, channel = r / at.stacked - first_channel;
              const int64_t element = at.phases[static_cast<size_t>(phase + r % at.stacked)].kernel[static_cast<size_t>(t)];
              if (turned) row = slab.data() + (channel * cells + element) * 32;
              else for (int64_t d = 0; d < count; ++d) gathered[d] = start[channel * at.row_stride + element + d * at.depth_stride];
            }
            kernels.matrix.split_row(row, to + i * 16, rows * 16);
          }
        }
      }
      if (k + 2 == at.blocks) std::fill(slab.begin(), slab.end(), T(0));  // the last block may be short
    }
  });
}

// ---- sums -> target -------------------------------------------------------------------------------------------------

namespace {

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

// Matrix registers are set up by whoever uses them, and given up after, so that nobody else has to save them.
template <class T>
class MatrixUse {
 public:
  MatrixUse(const KernelSet<T>& kernels, bool on) : end_(on ? kernels.matrix.end : nullptr) {
    if (on) kernels.matrix.begin();
  }
  ~MatrixUse() {
    if (end_) end_();
  }
  MatrixUse(const MatrixUse&) = delete;
  MatrixUse& operator=(const MatrixUse&) = delete;

 private:
  void (*end_)();
};

template <class T>
struct Store {
  const Layout& at;

  // Calls row(target row, position of its first cell, phase along z and y) for every row of the target in the box.
  template <class Row>
  void each_row(const Box& box, T* plane, int64_t batch_stride, const Row& row) const {
    const Lattice &z = at.axis[0], &y = at.axis[1], &x = at.axis[2];
    const Span span(x, box.begin[3], box.size[3]);
    if (span.length <= 0) return;
    for (int64_t n = 0; n < box.size[0]; ++n)
      for (int64_t cz = 0; cz < box.size[1]; ++cz)
        for (int64_t rz = 0; rz < z.target_stride; ++rz) {
          const int64_t tz = (box.begin[1] + cz) * z.target_stride + rz - z.target_lo;
          if (tz < 0 || tz >= z.target_size) continue;
          for (int64_t cy = 0; cy < box.size[2]; ++cy)
            for (int64_t ry = 0; ry < y.target_stride; ++ry) {
              const int64_t ty = (box.begin[2] + cy) * y.target_stride + ry - y.target_lo;
              if (ty < 0 || ty >= y.target_size) continue;
              T* out = plane + n * batch_stride + (tz * y.target_size + ty) * x.target_size + span.begin;
              row(out, at.panel.position(n, cz, cy), (rz * y.target_stride + ry) * x.target_stride, span);
            }
        }
  }

  // Calls row(number in the target of the first cell's first phase, position of that cell, cells, first and last phase of
  // each) for every row of cells in the box and for one phase along z and y: whole cells together, cropped ones alone.
  template <class Row>
  void each_row_of_cells(int64_t phase, const Box& box, const Row& row) const {
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
        row(line + at_x, position + c, 1, std::max<int64_t>(0, -at_x), std::min(stride, x.target_size - at_x));
      }
    });
  }

  // Calls row(number of its first cell in the target, position of that cell, cells) for every row of one phase in the box.
  template <class Row>
  void each_row_of(int64_t phase, const Box& box, const Row& row) const {
    const Lattice& x = at.axis[2];
    const int64_t first = box.begin[3] * x.target_stride + phase % x.target_stride - x.target_lo;
    const int64_t begin = std::max<int64_t>(0, -floor_div(first, x.target_stride));
    const int64_t end = std::min(box.size[3], floor_div(x.target_size - 1 - first, x.target_stride) + 1);
    if (begin >= end) return;
    each_line_of(phase / x.target_stride, box, [&](int64_t line, int64_t position) {
      row(line + first + begin * x.target_stride, position + begin, end - begin);
    });
  }

  // Calls line(number of its first cell in the target, position of the box's cell there) for every line of the target in
  // the box that has one phase along z and y.
  template <class Line>
  void each_line_of(int64_t phase, const Box& box, const Line& line) const {
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

}  // namespace

// ---- the walk -------------------------------------------------------------------------------------------------------

template <class T>
void Runner::run_as(const T* source, const T* packed, const T* bias, T* target) const {
  const Plan& plan = plan_;
  const Layout& at = layout_;
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Store<T> store{at};
  const int64_t depth = at.source_channels, boxes = at.box_count(), groups = plan.problem.groups;

  Workers workers(plan.most_threads);

  parallel_for(ceil_div(groups, at.together) * boxes * at.chunks, workers.threads(), [&](int64_t task, int index) {
    Worker& worker = workers[index];  // holds: which box of which groups lies in the panel
    T* panel = worker.template memory<T>(static_cast<size_t>(workspace_));
    T *sums = panel + at.together * at.depth * at.panel.channel, *turned = sums + at.sums;

    const MatrixUse<T> use(kernels, plan.parts > 0);
    const int64_t group = task / at.chunks / boxes * at.together, together = std::min(at.together, groups - group);
    const Box box = box_at(plan, at, task / at.chunks % boxes);
    if (worker.holds != task / at.chunks) {
      const T* from = source + group * at.source.group;
      if (plan.parts) pack_pairs(at, kernels, from, box, panel, turned + at.turned);
      else pack_panel(at, kernels, from, together * depth, box, panel);
      worker.holds = task / at.chunks;
    }
    const T* cells = panel + at.panel.first;
    const int64_t positions = at.panel.position(box.size[0] - 1, box.size[1] - 1, box.size[2] - 1) + box.size[3];
    const int64_t row_begin = task % at.chunks * plan.chunk;  // of columns, where they are by phase
    const int64_t row_end = std::min(row_begin + plan.chunk, at.by_phase ? at.columns : at.target_channels);
    T* plane = target + box.begin[0] * at.target.batch + group * at.target.group;
    // Channels last: stores channels from c on of one phase, whose sums are [position][pitch].
    const auto lay_phase = [&](int64_t phase, int64_t c, int64_t channels, const T* from, int64_t pitch) {
      const T* own_bias = bias ? bias + group * at.target_channels + c : nullptr;
      const int64_t step = at.axis[2].target_stride * at.target.position;
      store.each_row_of(phase, box, [&](int64_t cell, int64_t position, int64_t count) {
        T* out = target + cell * at.target.position + group * at.target.group + c;
        kernels.finish_cells(plan, from + position * pitch, pitch, count, channels, own_bias, out, step);
      });
    };

    TileArgs<T> tile{};
    tile.steps = depth;
    if (plan.lanes == Lanes::channels) {
      tile.a_on = 1, tile.a_step = at.panel.channel;
      tile.b_tap = depth * at.tile_lanes, tile.b_step = at.tile_lanes;
      tile.c_stride = at.sums_pitch;
      const int64_t apiece = at.by_phase ? 1 : at.stacked, column_begin = row_begin * apiece, columns = row_end * apiece - column_begin;
      for (int64_t j = 0; j < columns; j += at.tile_lanes) {
        const bool apart = at.by_phase && at.stacked == 1;
        const PhaseTaps& phase = at.phases[static_cast<size_t>(apart ? (column_begin + j) / at.phase_columns : 0)];
        tile.taps = static_cast<int64_t>(phase.offsets.size());
        tile.offsets = phase.offsets.data();
        tile.b = packed + group * at.packed_group + tile_offset(at, column_begin + j);
        const int64_t filled = apart ? at.target_channels - (column_begin + j) % at.phase_columns : columns - j;
        const int vectors = static_cast<int>(ceil_div(std::min(at.tile_lanes, filled), at.lanes));
        for (int64_t i = 0; i < positions; i += plan.rows) {
          tile.a = cells + i;
          tile.c = sums + i * at.sums_pitch + j;
          kernels.tile[std::min<int64_t>(plan.rows, positions - i)][vectors](tile);
        }
      }
      const int64_t row_columns = at.axis[2].target_stride * at.target_channels;  // of all phases along x
      if (at.by_phase && at.stacked > 1 && at.target.position == at.target_channels) {
        for (int64_t i = 0; bias && i < row_columns; ++i) turned[i] = bias[i % at.target_channels];
        for (int64_t q = row_begin / row_columns; q * row_columns < std::min(row_end, at.rows); ++q) {
          const int64_t first = q * row_columns, begin = std::max(row_begin, first) - first;
          const int64_t end = std::min(row_end - first, row_columns);
          store.each_row_of_cells(q, box, [&](int64_t cell, int64_t position, int64_t count, int64_t from, int64_t to) {
            from = std::max(from * at.target_channels, begin), to = std::min(to * at.target_channels, end);
            if (from < to)
              kernels.finish_cells(plan, sums + position * at.sums_pitch + first - row_begin + from, at.sums_pitch, count,
                                   to - from, bias ? turned + from : nullptr, target + cell * at.target_channels + from,
                                   row_columns);
          });
        }
        return;
      }
      if (at.by_phase) {
        for (int64_t r = row_begin / at.phase_columns; r < static_cast<int64_t>(at.phases.size()); ++r) {
          const int64_t begin = std::max(row_begin, r * at.phase_columns);
          const int64_t end = std::min(row_end, r * at.phase_columns + at.target_channels);
          if (begin < end) lay_phase(r, begin - r * at.phase_columns, end - begin, sums + begin - row_begin, at.sums_pitch);
        }
        return;
      }
      store.each_row(box, plane, at.target.batch, [&](T* out, int64_t position, int64_t phase, const Span& span) {
        for (int64_t c = row_begin; c < row_end; ++c) {
          T* row = out + c * at.target_plane;
          kernels.runs({sums + position * at.sums_pitch + (c - row_begin) * at.stacked + phase, at.sums_pitch,
                        at.axis[2].target_stride, box.size[3], span.skip, span.length,
                        bias ? bias[group * at.target_channels + c] : T(0), row});
          kernels.finish(plan, row, span.length);
        }
      });
      return;
    }

    tile.b_on = 1, tile.b_step = at.panel.channel;
    tile.c_stride = at.sums_pitch;
    const int64_t phases = at.stacked > 1 ? 1 : static_cast<int64_t>(at.phases.size());
    // Stores channels [c, end), whose sums lie `channel_pitch` rows apart and their phases `phase_pitch`.
    const auto store_channels = [&](int64_t c, int64_t end, int64_t channel_pitch, int64_t phase_pitch) {
      store.each_row(box, plane, at.target.batch, [&](T* out, int64_t position, int64_t phase, const Span& span) {
        for (int64_t i = 0; i < end - c; ++i) {
          T* row = out + (c + i) * at.target_plane;
          kernels.interleave({sums + (phase * phase_pitch + i * channel_pitch) * at.sums_pitch + position,
                              phase_pitch * at.sums_pitch, at.axis[2].target_stride, box.size[3], span.skip, span.length,
                              bias ? bias[group * at.target_channels + c + i] : T(0), row});
          kernels.finish(plan, row, span.length);
        }
      });
    };
    // Sums one block of rows over the positions of the box.
    const auto sum = [&](int64_t g, int64_t first, int64_t r, T* c) {
      const int64_t rows = std::min<int64_t>(plan.rows, row_end * at.stacked - first);
      const PhaseTaps& phase = at.phases[static_cast<size_t>(r)];
      const int64_t padded = plan.parts ? round_up(rows, 16) : rows;
      tile.a_step = rows, tile.a_tap = depth * rows;
      tile.taps = static_cast<int64_t>(phase.offsets.size());
      tile.offsets = phase.offsets.data();
      tile.a = packed + (group + g) * at.packed_group + first * at.depth * at.taps + phase.before * at.depth * padded;
      for (int64_t i = 0; i < positions; i += at.tile_lanes) {
        tile.b = cells + g * at.depth * at.panel.channel + i;
        tile.c = c + i;
        const int64_t vectors = ceil_div(std::min(at.tile_lanes, positions - i), at.lanes);
        if (plan.parts)
          kernels.matrix.tile[padded / 16][vectors]({tile.a, tile.b, tile.b_step, at.blocks * 16 * at.panel.channel,
                                                     tile.offsets, tile.taps, at.blocks, tile.c, tile.c_stride});
        else
          kernels.tile[rows][vectors](tile);
      }
    };
    const int64_t begin = row_begin * at.stacked, end = row_end * at.stacked;
    if (at.target.position > 1) {
      const int64_t channels = together * (row_end - row_begin);
      const auto turn_phase = [&](int64_t phase, const T* from, int64_t pitch) {
        kernels.transpose(from, pitch, 1, positions, channels, turned, channels);
        lay_phase(phase, row_begin, channels, turned, channels);
      };
      for (int64_t r = 0; r < phases; ++r) {
        for (int64_t g = 0; g < together; ++g)
          for (int64_t first = begin; first < end; first += plan.rows)
            sum(g, first, r, sums + (g * (end - begin) + first - begin) * at.sums_pitch);
        if (at.stacked == 1) turn_phase(r, sums, at.sums_pitch);
      }
      for (int64_t r = 0; at.stacked > 1 && r < at.stacked; ++r)
        turn_phase(r, sums + r * at.sums_pitch, at.stacked * at.sums_pitch);
      return;
    }
    for (int64_t first = begin; first < end; first += plan.rows) {
      for (int64_t r = 0; r < phases; ++r)
        sum(0, first, r, sums + (at.stacked > 1 ? first - begin : r * plan.rows) * at.sums_pitch);
      if (at.stacked == 1) store_channels(first, std::min(first + plan.rows, end), 1, plan.rows);
    }
    if (at.stacked > 1) store_channels(row_begin, row_end, at.stacked, 1);
  });
}

// ---- the gate -------------------------------------------------------------------------------------------------------

void Runner::pack(const void* weight, void* packed) const {
  const auto as = [&](auto type) {
    using T = decltype(type);
    if (plan_.algorithm == Algorithm::winograd)
      pack_winograd(plan_, winograd_, static_cast<const T*>(weight), static_cast<T*>(packed));
    else
      pack_as(static_cast<const T*>(weight), static_cast<T*>(packed));
  };
  if (plan_.dtype == DType::f32) as(float{});
  else as(double{});
}

void Runner::run(const void* source, const void* weight, const void* bias, void* target) const {
  if (plan_.algorithm == Algorithm::reference) {
    const ReferenceKernel kernel = reference_kernel(plan_.dtype);
    parallel_for(reference_tasks(plan_), plan_.most_threads, [&](int64_t task, int) { kernel(plan_, task, source, weight, bias, target); });
    return;
  }
  const auto as = [&](auto type) {
    using T = decltype(type);
    if (plan_.map == Map::weight_gradient) {
      const auto gradient = plan_.algorithm == Algorithm::dots ? run_dot_gradient<T>
                            : plan_.lanes == Lanes::kernel     ? run_wide_gradient<T>
                                                               : run_gradient<T>;
      gradient(plan_, layout_, workspace_, static_cast<const T*>(source), static_cast<const T*>(weight),
               static_cast<T*>(target));
    } else if (plan_.algorithm == Algorithm::winograd) {
      run_winograd(plan_, winograd_, static_cast<const T*>(source), static_cast<const T*>(weight),
                   static_cast<const T*>(bias), static_cast<T*>(target));
    } else if (plan_.algorithm == Algorithm::dots) {
      run_dot_conv(plan_, layout_, workspace_, static_cast<const T*>(source), static_cast<const T*>(weight),
                   static_cast<const T*>(bias), static_cast<T*>(target));
    } else {
      run_as(static_cast<const T*>(source), static_cast<const T*>(weight), static_cast<const T*>(bias),
             static_cast<T*>(target));
    }
  };
  if (plan_.dtype == DType::f32) as(float{});
  else as(double{});
}

}  // namespace tconv
