// Walk a plan: pack the weights once; then, box by box, pack the input, let the register tiles sum, and store.
#include "run.hpp"

#include <algorithm>

#include "complex.hpp"
#include "gradient.hpp"
#include "kernels/matrix.hpp"
#include "panel.hpp"
#include "storage.hpp"
#include "table.hpp"
#include "threads.hpp"
#include "workers.hpp"

namespace tconv {

Runner::Runner(const Plan& given) : plan_(given.algorithm == Algorithm::reference ? given : real_plan(given)) {
  const Plan& plan = plan_;
  if (plan.algorithm == Algorithm::reference) return;
  if (plan.algorithm == Algorithm::winograd) {
    winograd_ = make_winograd(plan);
    packed_ = winograd_packed(plan, winograd_) * computed_size(plan.dtype);
    workspace_ = winograd_workspace(winograd_) * computed_size(plan.dtype);
    return;
  }
  if (plan.algorithm == Algorithm::matrix &&
      (plan.dtype != DType::bf16 || plan.map == Map::weight_gradient || plan.lanes == Lanes::channels || !matrix_unit()))
    throw std::invalid_argument("the matrix unit, where there is one, takes layers of bf16");
  layout_ = make_layout(plan);
  if (plan.map == Map::weight_gradient) {
    workspace_ = plan.lanes == Lanes::kernel ? wide_gradient_workspace(plan_, layout_) : gradient_workspace(plan_, layout_);
  } else {
    packed_ = plan.problem.groups * layout_.packed_group * (plan.algorithm == Algorithm::matrix ? 4 : dtype_size(plan.dtype));
    workspace_ = layout_.depth * layout_.panel.channel + layout_.sums;
    if (dtype_size(plan.dtype) < computed_size(plan.dtype)) workspace_ += layout_.line + layout_.weights;
    workspace_ *= computed_size(plan.dtype);
  }
}

// ---- weights -> panels ----------------------------------------------------------------------------------------------

// Lanes::channels:  [group][tile of columns][tap][source channel][column of the tile]
// else:             [group][block of rows][phase, unless stacked][tap][source channel][row of the block]
// A column, and a stacked row, is a target channel with one of its phases.
template <class S>
void Runner::pack_as(const S* weight, S* packed) const {
  const Plan& plan = plan_;
  const Layout& at = layout_;
  const int64_t depth = at.source_channels, phases = at.stacked > 1 ? 1 : static_cast<int64_t>(at.phases.size());
  const int64_t group_weights = plan.problem.in_channels * plan.problem.out_channels * at.kernel_cells;
  const bool channels = plan.lanes == Lanes::channels;
  const int64_t width = channels ? at.tile_lanes : plan.rows, blocks = ceil_div(channels ? at.columns : at.rows, width);

  parallel_for(plan.problem.groups * blocks, plan.most_threads, [&](int64_t task, int) {
    const int64_t group = task / blocks, first = task % blocks * width;
    const int64_t filled = std::min(width, at.rows - first), padded = channels ? width : filled;
    const S* from = weight + group * group_weights;
    S* to = packed + group * at.packed_group + first * depth * at.taps;
    std::vector<int64_t> start(static_cast<size_t>(filled));  // of each row in the weight array
    for (int64_t phase = 0; phase < phases; ++phase) {
      const size_t taps = at.phases[static_cast<size_t>(phase)].kernel.size();
      for (size_t t = 0; t < taps; ++t) {
        for (int64_t i = 0; i < filled; ++i) {
          const int64_t row = first + i, own = phase + row % at.stacked;
          start[static_cast<size_t>(i)] = row / at.stacked * at.row_stride + at.phases[static_cast<size_t>(own)].kernel[t];
        }
        for (int64_t d = 0; d < depth; ++d, to += padded) {
          for (int64_t i = 0; i < filled; ++i) to[i] = from[start[static_cast<size_t>(i)] + d * at.depth_stride];
          for (int64_t i = filled; i < padded; ++i) to[i] = S{};
        }
      }
    }
  });
}

// matrix: [group][block of rows][phase, unless stacked][fold][tap][row of the block][pair of source channels].
void Runner::pack_pairs(const Brain* weight, uint32_t* packed) const {
  const Layout& at = layout_;
  const int64_t phases = at.stacked > 1 ? 1 : static_cast<int64_t>(at.phases.size()), blocks = ceil_div(at.rows, plan_.rows);
  const int64_t group_weights = plan_.problem.in_channels * plan_.problem.out_channels * at.kernel_cells;
  parallel_for(plan_.problem.groups * blocks, plan_.most_threads, [&](int64_t task, int) {
    const int64_t group = task / blocks, first = task % blocks * plan_.rows, end = std::min(first + plan_.rows, at.rows);
    uint32_t* to = packed + group * at.packed_group + first * at.depth * at.taps;
    for (int64_t phase = 0; phase < phases; ++phase)
      for (int64_t f = 0; f < at.folds; ++f)
        for (size_t t = 0; t < at.phases[static_cast<size_t>(phase)].kernel.size(); ++t)
          for (int64_t row = first; row < end; ++row) {
            const int64_t own = phase + row % at.stacked;
            const Brain* from = weight + group * group_weights + row / at.stacked * at.row_stride +
                                at.phases[static_cast<size_t>(own)].kernel[t];
            for (int64_t d = 2 * f * at.pairs; d < 2 * (f + 1) * at.pairs; d += 2) {
              const uint32_t even = d < at.source_channels ? from[d * at.depth_stride].bits : 0;
              const uint32_t odd = d + 1 < at.source_channels ? from[(d + 1) * at.depth_stride].bits : 0;
              *to++ = even | odd << 16;
            }
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

template <class S>
struct Store {
  const Layout& at;

  // Calls row(target row, position of its first cell, phase along z and y) for every row of the target in the box.
  template <class Row>
  void each_row(const Box& box, S* plane, int64_t batch_stride, const Row& row) const {
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
              S* out = plane + n * batch_stride + (tz * y.target_size + ty) * x.target_size + span.begin;
              row(out, at.panel.position(n, cz, cy), (rz * y.target_stride + ry) * x.target_stride, span);
            }
        }
  }
};

}  // namespace

// ---- the walk -------------------------------------------------------------------------------------------------------

template <class Storage>
void Runner::run_as(const typename Storage::S* source, const typename Storage::Weight* packed,
                    const typename Storage::S* bias, typename Storage::S* target) const {
  using S = typename Storage::S;
  using T = typename Storage::T;
  const Plan& plan = plan_;
  const Layout& at = layout_;
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage storage(plan.isa);
  const Store<S> store{at};
  const int64_t depth = at.depth, boxes = at.box_count(), groups = plan.problem.groups;
  const int64_t source_group = at.source_channels * at.source_plane;
  const int64_t batch_stride = groups * at.target_channels * at.target_plane;

  Workers workers(plan.most_threads);

  parallel_for(groups * boxes * at.chunks, workers.threads(), [&](int64_t task, int index) {
    Worker& worker = workers[index];  // holds: which box of which group lies in the panel
    T* panel = worker.template memory<T>(static_cast<size_t>(workspace_));
    T *sums = panel + depth * at.panel.channel, *line = sums + at.sums, *widened = line + at.line;

    const int64_t group = task / at.chunks / boxes;
    const Box box = box_at(plan, at, task / at.chunks % boxes);
    if (worker.holds != task / at.chunks) {
      pack_panel(at, kernels, storage, source + group * source_group, groups * source_group, box, panel, line);
      worker.holds = task / at.chunks;
    }
    const T* cells = panel + at.panel.first;
    const int64_t positions = at.panel.position(box.size[0] - 1, box.size[1] - 1, box.size[2] - 1) + box.size[3];
    const int64_t row_begin = task % at.chunks * plan.chunk;
    const int64_t row_end = std::min(row_begin + plan.chunk, at.target_channels);
    S* plane = target + (box.begin[0] * groups + group) * at.target_channels * at.target_plane;

    TileArgs<T> tile{};
    tile.steps = depth;
    if constexpr (Storage::fold == 1) if (plan.lanes == Lanes::channels) {
      const std::vector<int64_t>& offsets = at.phases[0].offsets;
      tile.taps = at.taps;
      tile.offsets = offsets.data();
      tile.a_on = 1, tile.a_step = at.panel.channel;
      tile.b_tap = depth * at.tile_lanes, tile.b_step = at.tile_lanes;
      tile.c_stride = at.sums_pitch;
      const int64_t column_begin = row_begin * at.stacked, columns = (row_end - row_begin) * at.stacked;
      for (int64_t j = 0; j < columns; j += at.tile_lanes) {
        tile.b = storage.loaded(packed + group * at.packed_group + (column_begin + j) * depth * tile.taps,
                                at.tile_lanes * depth * tile.taps, widened);
        const int vectors = static_cast<int>(ceil_div(std::min(at.tile_lanes, columns - j), at.lanes));
        for (int64_t i = 0; i < positions; i += plan.rows) {
          tile.a = cells + i;
          tile.c = sums + i * at.sums_pitch + j;
          kernels.tile[std::min<int64_t>(plan.rows, positions - i)][vectors](tile);
        }
      }
      store.each_row(box, plane, batch_stride, [&](S* out, int64_t position, int64_t phase, const Span& span) {
        for (int64_t c = row_begin; c < row_end; ++c) {
          T* row = storage.row(out + c * at.target_plane, line);
          kernels.runs({sums + position * at.sums_pitch + (c - row_begin) * at.stacked + phase, at.sums_pitch,
                        at.axis[2].target_stride, box.size[3], span.skip, span.length,
                        bias ? storage.number(bias[group * at.target_channels + c]) : T(0), row});
          kernels.finish(plan, row, span.length);
          storage.store(row, span.length, out + c * at.target_plane);
        }
      });
      return;
    }

    tile.b_on = 1, tile.b_step = at.panel.channel;
    tile.c_stride = at.sums_pitch;
    const int64_t phases = at.stacked > 1 ? 1 : static_cast<int64_t>(at.phases.size());
    // Stores channels [c, end), whose sums lie `channel_pitch` rows apart and their phases `phase_pitch`.
    const auto store_channels = [&](int64_t c, int64_t end, int64_t channel_pitch, int64_t phase_pitch) {
      store.each_row(box, plane, batch_stride, [&](S* out, int64_t position, int64_t phase, const Span& span) {
        for (int64_t i = 0; i < end - c; ++i) {
          T* row = storage.row(out + (c + i) * at.target_plane, line);
          kernels.interleave({sums + (phase * phase_pitch + i * channel_pitch) * at.sums_pitch + position,
                              phase_pitch * at.sums_pitch, at.axis[2].target_stride, box.size[3], span.skip, span.length,
                              bias ? storage.number(bias[group * at.target_channels + c + i]) : T(0), row});
          kernels.finish(plan, row, span.length);
          storage.store(row, span.length, out + (c + i) * at.target_plane);
        }
      });
    };
    for (int64_t first = row_begin * at.stacked; first < row_end * at.stacked; first += plan.rows) {
      const int64_t rows = std::min<int64_t>(plan.rows, row_end * at.stacked - first);
      const typename Storage::Weight* weights = packed + group * at.packed_group + first * depth * at.taps;
      tile.a_step = rows, tile.a_tap = depth * rows;
      for (int64_t r = 0; r < phases; ++r) {
        const PhaseTaps& phase = at.phases[static_cast<size_t>(r)];
        tile.taps = static_cast<int64_t>(phase.offsets.size());
        tile.offsets = phase.offsets.data();
        T* c = sums + (at.stacked > 1 ? first - row_begin * at.stacked : r * plan.rows) * at.sums_pitch;
        if constexpr (Storage::fold == 2) {
          matrix({weights + phase.before * depth * rows, cells, phase.offsets.data(), tile.taps, at.folds, at.pairs, rows,
                  positions, at.panel.channel, c, at.sums_pitch});
        } else {
          tile.a = storage.loaded(weights + phase.before * depth * rows, tile.taps * depth * rows, widened);
          for (int64_t i = 0; i < positions; i += at.tile_lanes) {
            tile.b = cells + i;
            tile.c = c + i;
            kernels.tile[rows][ceil_div(std::min(at.tile_lanes, positions - i), at.lanes)](tile);
          }
        }
      }
      if (at.stacked == 1) store_channels(first, first + rows, 1, plan.rows);
    }
    if (at.stacked > 1) store_channels(row_begin, row_end, at.stacked, 1);
  });
}

// ---- the gate -------------------------------------------------------------------------------------------------------

void Runner::pack(const void* weight, void* packed) const {
  const Problem& p = plan_.problem;
  Block real;
  if (plan_.parts == 2) {
    const int64_t cells = p.kernel[0] * p.kernel[1] * p.kernel[2];
    real = Block(static_cast<size_t>(p.groups * p.in_channels * p.out_channels * cells * dtype_size(plan_.dtype)));
    with_real(plan_.dtype, [&](auto type) {
      using T = decltype(type);
      split_weights(plan_, static_cast<const T*>(weight), real.as<T>());
    });
    weight = real.as<void>();
  }
  with_storage(plan_.dtype, [&](auto type) {
    using S = decltype(type);
    if (plan_.algorithm == Algorithm::winograd)
      pack_winograd(plan_, winograd_, static_cast<const S*>(weight), packed);
    else if (plan_.algorithm == Algorithm::matrix)
      pack_pairs(static_cast<const Brain*>(weight), static_cast<uint32_t*>(packed));
    else
      pack_as(static_cast<const S*>(weight), static_cast<S*>(packed));
  });
}

void Runner::run(const void* source, const void* weight, const void* bias, void* target) const {
  if (plan_.algorithm == Algorithm::reference) {
    const ReferenceKernel kernel = reference_kernel(plan_.dtype);
    parallel_for(reference_tasks(plan_), plan_.most_threads, [&](int64_t task, int) { kernel(plan_, task, source, weight, bias, target); });
    return;
  }
  if (plan_.parts == 2) run_complex(source, weight, bias, target);
  else run_real(source, weight, bias, target);
}

void Runner::run_complex(const void* source, const void* weight, const void* bias, void* target) const {
  const Problem& p = plan_.problem;
  with_real(plan_.dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t x_plane = p.input[0] * p.input[1] * p.input[2], x_planes = p.batch * p.groups * p.in_channels / 2;
    const int64_t y_plane = p.output[0] * p.output[1] * p.output[2], y_planes = p.batch * p.groups * p.out_channels / 2;
    const auto room = [](int64_t numbers) { return Block(static_cast<size_t>(numbers) * sizeof(T)); };
    const Block x = room(2 * x_planes * x_plane), y = room(2 * y_planes * y_plane);
    const auto split = [&](const void* from, bool is_x) {
      split_planes(plan_, static_cast<const T*>(from), is_x ? x_planes : y_planes, is_x ? x_plane : y_plane,
                   (is_x ? x : y).template as<T>());
    };
    if (plan_.map == Map::weight_gradient) {
      const Block gradient = room(p.groups * p.in_channels * p.out_channels * p.kernel[0] * p.kernel[1] * p.kernel[2]);
      split(source, true);
      split(weight, false);
      run_real(x.as<void>(), y.as<void>(), nullptr, gradient.as<void>());
      join_gradient(plan_, gradient.as<T>(), static_cast<T*>(target));
      return;
    }
    const bool transposed = plan_.map == Map::conv_transpose;
    const Block &from = transposed ? x : y, &to = transposed ? y : x;
    split(source, transposed);
    run_real(from.as<void>(), weight, bias, to.as<void>());  // a complex bias is one of real and imaginary parts by turns
    join_planes(plan_, to.as<T>(), transposed ? y_planes : x_planes, transposed ? y_plane : x_plane,
                static_cast<T*>(target));
  });
}

void Runner::run_real(const void* source, const void* weight, const void* bias, void* target) const {
  with_storage(plan_.dtype, [&](auto type) {
    using S = decltype(type);
    if (plan_.map == Map::weight_gradient) {
      const auto gradient = plan_.lanes == Lanes::kernel ? run_wide_gradient<S> : run_gradient<S>;
      gradient(plan_, layout_, workspace_, static_cast<const S*>(source), static_cast<const S*>(weight),
               static_cast<S*>(target));
    } else if (plan_.algorithm == Algorithm::winograd) {
      run_winograd(plan_, winograd_, static_cast<const S*>(source), weight, static_cast<const S*>(bias),
                   static_cast<S*>(target));
    } else if (plan_.algorithm == Algorithm::matrix) {
      run_as<PairStorage>(static_cast<const Brain*>(source), static_cast<const uint32_t*>(weight),
                          static_cast<const Brain*>(bias), static_cast<Brain*>(target));
    } else {
      run_as<Storage<S>>(static_cast<const S*>(source), static_cast<const S*>(weight), static_cast<const S*>(bias),
                         static_cast<S*>(target));
    }
  });
}

}  // namespace tconv
