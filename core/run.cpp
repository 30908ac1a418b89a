// Walk a plan: pack the weights once; then, box by box, pack the input, let the register tiles sum, and store.
#include "run.hpp"

#include <algorithm>
#include <type_traits>

#include "complex.hpp"
#include "gradient.hpp"
#include "panel.hpp"
#include "segments.hpp"
#include "storage.hpp"
#include "store.hpp"
#include "table.hpp"
#include "threads.hpp"
#include "workers.hpp"

namespace tconv {

Runner::Runner(const Plan& given) : plan_(given.algorithm == Algorithm::reference ? given : real_plan(given)) {
  const Plan& plan = plan_;
  const int64_t size = computed_size(plan.dtype);
  if (plan.algorithm == Algorithm::reference) return;
  if (plan.algorithm == Algorithm::winograd) {
    winograd_ = make_winograd(plan);
    packed_ = winograd_packed(plan, winograd_) * size;
    workspace_ = winograd_workspace(winograd_) * size;
    return;
  }
  layout_ = make_layout(plan);
  if (plan.map == Map::weight_gradient) {
    const auto workspace = plan.algorithm == Algorithm::dots ? dot_gradient_workspace
                           : plan.parts                      ? matrix_gradient_workspace
                           : plan.lanes == Lanes::kernel     ? wide_gradient_workspace
                                                             : gradient_workspace;
    workspace_ = workspace(plan_, layout_);
    shared_ = segments_beside(plan) * size;
  } else if (plan.algorithm == Algorithm::dots) {
    workspace_ = dot_conv_workspace(plan_, layout_);
    if (plan.complex) packed_ = weight_count(plan.problem) * size;
  } else {
    packed_ = plan.problem.groups * layout_.packed_group * (plan.parts ? size : dtype_size(plan.dtype));
    workspace_ = (layout_.panel_size + layout_.stage + layout_.sums + layout_.turned + layout_.line + layout_.weights) * size;
    // Where a single box reads all weights, who reads a block of them may pack it too: it is still near then.
    const int64_t block = std::min<int64_t>(round_up(layout_.rows, 16), plan.rows) * layout_.depth * layout_.taps;
    const bool once = plan.parts && !plan.complex && layout_.box_count() == 1 && layout_.target.position == 1;
    if (once && workspace_ + block * size <= kMostWorkspace) block_ = block, workspace_ += block * size;
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
template <class S>
void Runner::pack_as(const S* weight, S* packed) const {
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
    const S* from = weight + group * group_weights;
    S* to = packed + group * at.packed_group + tile_offset(at, first);
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

// For matrix registers: [group][block of rows][phase, unless stacked][block of 32 channels][tap][part][row][channel]
template <class S>
void Runner::pack_matrix(const S* weight, void* packed) const {
  using T = typename Storage<S>::T;
  const Layout& at = layout_;
  const int64_t blocks = ceil_div(at.rows, plan_.rows);
  parallel_for(plan_.problem.groups * blocks, plan_.most_threads, [&](int64_t task, int) {
    const int64_t group = task / blocks, first = task % blocks * plan_.rows;
    pack_rows(weight, group, first, static_cast<T*>(packed) + group * at.packed_group + first * at.depth * at.taps);
  });
}

// One block of rows.
template <class S, class T>
void Runner::pack_rows(const S* weight, int64_t group, int64_t first, T* block) const {
  const Plan& plan = plan_;
  const Layout& at = layout_;
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  const int64_t depth = at.source_channels, phases = at.stacked > 1 ? 1 : static_cast<int64_t>(at.phases.size());
  const int64_t group_weights = plan.problem.in_channels * plan.problem.out_channels * at.kernel_cells;
  const int64_t cells = at.kernel_cells, filled = std::min<int64_t>(plan.rows, at.rows - first);
  const int64_t rows = round_up(filled, 16), first_channel = first / at.stacked, part = rows * 16;
  const int64_t channels = (first + filled - 1) / at.stacked + 1 - first_channel;
  const S* from = weight + group * group_weights + first_channel * at.row_stride;

  // Where each element of each kernel goes in the first block of 32 channels, and how much further in the next.
  std::vector<int64_t> places(static_cast<size_t>(channels * cells), -1), steps(places.size());
  for (int64_t phase = 0; phase < phases; ++phase) {
    const PhaseTaps& own = at.phases[static_cast<size_t>(phase)];
    const int64_t taps = static_cast<int64_t>(own.kernel.size()), start = own.before * at.blocks * plan.parts * part;
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t place = start + t * plan.parts * part + i * 16, step = taps * plan.parts * part;
        if (i < filled) {
          const int64_t r = first + i, channel = r / at.stacked - first_channel;
          const size_t e = static_cast<size_t>(channel * cells + at.phases[static_cast<size_t>(phase + r % at.stacked)].kernel[static_cast<size_t>(t)]);
          places[e] = place, steps[e] = step;
        } else {
          for (int64_t k = 0; k < at.blocks * plan.parts; ++k)
            std::fill_n(block + place + k / plan.parts * step + k % plan.parts * part, 16, T(0));
        }
      }
  }
  // Kernels of neighbouring channels are read as one, where they lie side by side.
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
          for (int64_t d = 0; d < count; ++d) storage.loaded(square + d * at.depth_stride, some, wide + 16 * d);
          kernels.matrix.pack_kernels(wide, 16, count, some, plan.parts, block, own, part);
        } else {
          kernels.matrix.pack_kernels(square, at.depth_stride, count, some, plan.parts, block, own, part);
        }
      }
  }
}

namespace {

// Bytes of weights that stay near the core, and how far ahead others are asked for.
constexpr int64_t kNear = 1 << 20, kFar = 8192;

}  // namespace

// ---- the walk -------------------------------------------------------------------------------------------------------

template <class S>
void Runner::run_as(const S* source, const void* packed, const S* weight, const S* given_bias, S* target) const {
  using T = typename Storage<S>::T;
  const Plan& plan = plan_;
  const Layout& at = layout_;
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  const Store<S> store{at};
  const ActivationOf<T> activation = activation_of<T>(plan);
  const int64_t depth = at.source_channels, boxes = at.box_count(), groups = plan.problem.groups;
  const WideBias<S> wide_bias(storage, given_bias, groups * at.target_channels);
  const T* bias = wide_bias.numbers;
  const S* weights = static_cast<const S*>(packed);

  // Weights that stay in no cache are asked for before they are needed; the processor alone looks less far.
  const int64_t ahead = packed && packed_ > kNear ? kFar / static_cast<int64_t>(sizeof(T)) : 0;

  Workers workers(plan.most_threads);

  parallel_for(ceil_div(groups, at.together) * boxes * at.chunks, workers.threads(), [&](int64_t task, int index) {
    Worker& worker = workers[index];  // holds: which box of which groups lies in the panel
    T* panel = worker.template memory<T>(static_cast<size_t>(workspace_));
    T *sums = panel + at.panel_size, *turned = sums + at.sums;
    T *staged = turned + at.turned, *line = staged + at.stage, *widened = line + at.line;
    T* block = widened + at.weights;  // of weights that are packed by who reads them

    const MatrixUse<T> use(kernels, plan.parts > 0);
    const int64_t group = task / at.chunks / boxes * at.together, together = std::min(at.together, groups - group);
    const Box box = box_at(plan, at, task / at.chunks % boxes);
    if (worker.holds != task / at.chunks) {
      const S* from = source + group * at.source.group;
      if (plan.parts) pack_pairs(at, kernels, storage, from, plan.parts, box, panel, staged, line);
      else pack_panel(at, kernels, storage, from, together * depth, box, panel, staged, line);
      worker.holds = task / at.chunks;
    }
    const T* cells = panel + at.panel.first;
    const int64_t positions = at.panel.position(box.size[0] - 1, box.size[1] - 1, box.size[2] - 1) + box.size[3];
    const int64_t row_begin = task % at.chunks * plan.chunk;  // of columns, where they are by phase
    const int64_t row_end = std::min(row_begin + plan.chunk, at.by_phase ? at.columns : at.target_channels);
    S* plane = target + box.begin[0] * at.target.batch + group * at.target.group;
    // Channels last: stores channels from c on of one phase, whose sums are [position][pitch].
    const auto lay_phase = [&](int64_t phase, int64_t c, int64_t channels, const T* from, int64_t pitch) {
      const T* own_bias = bias ? bias + group * at.target_channels + c : nullptr;
      const int64_t step = at.axis[2].target_stride * at.target.position;
      store.each_row_of(phase, box, [&](int64_t cell, int64_t position, int64_t count) {
        S* out = target + cell * at.target.position + group * at.target.group + c;
        storage.finish_cells(kernels, plan, from + position * pitch, pitch, count, channels, own_bias, out, step, line, at.line);
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
        tile.b = storage.loaded(weights + group * at.packed_group + tile_offset(at, column_begin + j),
                                tile.taps * tile.b_tap, widened);
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
              storage.finish_cells(kernels, plan, sums + position * at.sums_pitch + first - row_begin + from, at.sums_pitch,
                                   count, to - from, bias ? turned + from : nullptr,
                                   target + cell * at.target_channels + from, row_columns, line, at.line);
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
      store.each_row(box, plane, at.target.batch, [&](S* out, int64_t position, int64_t phase, const Span& span, int64_t count) {
        for (int64_t i = 0; i < count * (row_end - row_begin); ++i) {
          const int64_t y = i % count, c = row_begin + i / count;
          S* to = out + c * at.target_plane + y * store.row_step();
          T* row = storage.row(to, line);
          kernels.runs({sums + (position + y * at.panel.pitch[2]) * at.sums_pitch + (c - row_begin) * at.stacked + phase, at.sums_pitch,
                        at.axis[2].target_stride, box.size[3], span.skip, span.length,
                        bias ? bias[group * at.target_channels + c] : T(0), row});
          kernels.finish(plan, row, span.length);
          storage.store(row, span.length, to);
        }
      });
      return;
    }

    tile.b_on = 1, tile.b_step = at.panel.channel;
    tile.ahead = ahead;
    tile.c_stride = at.sums_pitch;
    const int64_t phases = at.stacked > 1 ? 1 : static_cast<int64_t>(at.phases.size());
    // Stores channels [c, end), whose sums lie `channel_pitch` rows apart and their phases `phase_pitch`.
    const auto store_channels = [&](int64_t c, int64_t end, int64_t channel_pitch, int64_t phase_pitch) {
      store.each_row(box, plane, at.target.batch, [&](S* out, int64_t position, int64_t phase, const Span& span, int64_t count) {
        for (int64_t i = 0; i < end - c; ++i) {
          S* to = out + (c + i) * at.target_plane;
          const T* from = sums + (phase * phase_pitch + i * channel_pitch) * at.sums_pitch + position;
          InterleaveArgs<T> rows{from, phase_pitch * at.sums_pitch, at.axis[2].target_stride, box.size[3], span.skip, span.length,
                                 bias ? bias[group * at.target_channels + c + i] : T(0), nullptr, activation, 1, at.panel.pitch[2], store.row_step()};
          if constexpr (std::is_same_v<S, T>) {  // all at once: rows are often short
            rows.out = to, rows.rows = count;
            kernels.interleave(rows);
          } else {
            rows.out = line, rows.out_step = span.length;
            const int64_t room = std::max<int64_t>(1, at.line / span.length);
            for (int64_t y = 0; y < count; y += room, rows.sums += room * rows.sums_step) {
              rows.rows = std::min(room, count - y);
              kernels.interleave(rows);
              for (int64_t j = 0; j < rows.rows; ++j)
                storage.store(line + j * span.length, span.length, to + (y + j) * store.row_step());
            }
          }
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
      const int64_t place = (group + g) * at.packed_group + first * at.depth * at.taps + phase.before * at.depth * padded;
      tile.a = !packed      ? block + phase.before * at.depth * padded
               : plan.parts ? static_cast<const T*>(packed) + place
                            : storage.loaded(weights + place, tile.taps * tile.a_tap, widened);
      for (int64_t i = 0; i < positions; i += at.tile_lanes) {
        tile.b = cells + g * at.depth * at.panel.channel + i;
        tile.c = c + i;
        const int64_t vectors = ceil_div(std::min(at.tile_lanes, positions - i), at.lanes);
        if (plan.parts)
          kernels.matrix.tile[plan.parts - 1][padded / 16][vectors]({tile.a, tile.b, tile.b_step, at.blocks * 16 * at.panel.channel,
                                                     tile.offsets, tile.taps, at.blocks, tile.c, tile.c_stride, ahead});
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
      if (!packed) pack_rows(weight, group, first, block);
      for (int64_t r = 0; r < phases; ++r)
        sum(0, first, r, sums + (at.stacked > 1 ? first - begin : r * plan.rows) * at.sums_pitch);
      if (at.stacked == 1) store_channels(first, std::min(first + plan.rows, end), 1, plan.rows);
    }
    if (at.stacked > 1) store_channels(row_begin, row_end, at.stacked, 1);
  });
}

// ---- the gate -------------------------------------------------------------------------------------------------------

void Runner::pack(const void* weight, void* packed) const {
  Block real;
  if (plan_.complex) {
    const bool ready = plan_.algorithm == Algorithm::dots;  // which read them as they lie
    if (!ready) real = Block(static_cast<size_t>(weight_count(plan_.problem) * dtype_size(plan_.dtype)));
    with_real(plan_.dtype, [&](auto type) {
      using T = decltype(type);
      split_weights(plan_, static_cast<const T*>(weight), ready ? static_cast<T*>(packed) : real.as<T>());
    });
    if (ready) return;
    weight = real.as<void>();
  }
  with_storage(plan_.dtype, [&](auto type) {
    using S = decltype(type);
    const S* from = static_cast<const S*>(weight);
    if (plan_.algorithm == Algorithm::winograd) pack_winograd(plan_, winograd_, from, packed);
    else if (plan_.parts) pack_matrix(from, packed);
    else pack_as(from, static_cast<S*>(packed));
  });
}

void Runner::run_unpacked(const void* source, const void* weight, const void* bias, void* target) const {
  if (block_ > 0)
    return with_storage(plan_.dtype, [&](auto type) {
      using S = decltype(type);
      run_as(static_cast<const S*>(source), nullptr, static_cast<const S*>(weight), static_cast<const S*>(bias), static_cast<S*>(target));
    });
  if (packed_ == 0) return run(source, weight, bias, target);
  const Block packed(static_cast<size_t>(packed_));
  pack(weight, packed.as<void>());
  run(source, packed.as<void>(), bias, target);
}

void Runner::run(const void* source, const void* weight, const void* bias, void* target) const {
  if (plan_.algorithm == Algorithm::reference) {
    const ReferenceKernel kernel = reference_kernel(plan_.dtype);
    parallel_for(reference_tasks(plan_), plan_.most_threads, [&](int64_t task, int) { kernel(plan_, task, source, weight, bias, target); });
    return;
  }
  if (plan_.complex) run_complex(source, weight, bias, target);
  else run_real(source, weight, bias, target);
}

void Runner::run_complex(const void* source, const void* weight, const void* bias, void* target) const {
  const Problem& p = plan_.problem;
  const bool gradient = plan_.map == Map::weight_gradient, transposed = plan_.map == Map::conv_transpose;
  with_real(plan_.dtype, [&](auto type) {
    using T = decltype(type);
    const auto room = [](int64_t numbers) { return Block(static_cast<size_t>(numbers) * sizeof(T)); };
    const int64_t x_plane = p.input[0] * p.input[1] * p.input[2], x_planes = p.batch * p.groups * p.in_channels / 2;
    const int64_t y_plane = p.output[0] * p.output[1] * p.output[2], y_planes = p.batch * p.groups * p.out_channels / 2;
    // Where channels are last, the parts of a number are neighbouring channels already.
    Block x, y;
    if (!plan_.last) x = room(2 * x_planes * x_plane), y = room(2 * y_planes * y_plane);
    const auto split = [&](const void* from, bool is_x) -> const void* {
      if (plan_.last) return from;
      T* to = (is_x ? x : y).template as<T>();
      split_planes(plan_, static_cast<const T*>(from), is_x ? x_planes : y_planes, is_x ? x_plane : y_plane, to);
      return to;
    };
    if (gradient) {
      const Block made = room(weight_count(p));
      run_real(split(source, true), split(weight, false), nullptr, made.as<void>());
      join_gradient(plan_, made.as<T>(), static_cast<T*>(target));
      return;
    }
    // A complex bias is one of real and imaginary parts by turns.
    const Block& to = transposed ? y : x;
    run_real(split(source, transposed), weight, bias, plan_.last ? target : to.as<void>());
    if (!plan_.last)
      join_planes(plan_, to.as<T>(), transposed ? y_planes : x_planes, transposed ? y_plane : x_plane, static_cast<T*>(target));
  });
}

void Runner::run_real(const void* source, const void* weight, const void* bias, void* target) const {
  with_storage(plan_.dtype, [&](auto type) {
    using S = decltype(type);
    const S *from = static_cast<const S*>(source), *own_bias = static_cast<const S*>(bias);
    S* to = static_cast<S*>(target);
    if (plan_.map == Map::weight_gradient) {
      const auto gradient = plan_.algorithm == Algorithm::dots ? run_dot_gradient<S>
                            : plan_.parts                      ? run_matrix_gradient<S>
                            : plan_.lanes == Lanes::kernel     ? run_wide_gradient<S>
                                                               : run_gradient<S>;
      gradient(plan_, layout_, workspace_, from, static_cast<const S*>(weight), to);
    } else if (plan_.algorithm == Algorithm::winograd) {
      run_winograd(plan_, winograd_, from, weight, own_bias, to);
    } else if (plan_.algorithm == Algorithm::dots) {
      if constexpr (Storage<S>::narrow) throw std::invalid_argument("dots read the weights of a convolution as they are computed");
      else run_dot_conv(plan_, layout_, workspace_, from, static_cast<const S*>(weight), own_bias, to);
    } else {
      run_as<S>(from, weight, nullptr, own_bias, to);
    }
  });
}

}  // namespace tconv
