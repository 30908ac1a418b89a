// The weight gradient in matrix registers.
//
//   gradient[i][o][k] = sum over batch and cells q of  x[i][q] * y[o][q * stride + k * dilation - lo]
//
// The positions of a box, gaps between its rows counted, are the sum that registers run along: x is zero in the gaps. y is
// cut into its phases, each a row of bfloat16 numbers in parts, in which an element of the kernel is an offset. Rows of a
// tile are channels of y, of one phase at a time (Lanes::positions), or all phases of each (Lanes::stacked), where elements
// of one offset share a tile. Columns are channels of x.
#include <algorithm>
#include <vector>

#include "gradient.hpp"
#include "memory.hpp"
#include "panel.hpp"
#include "segments.hpp"
#include "storage.hpp"
#include "threads.hpp"
#include "workers.hpp"

namespace tconv {
namespace {

// The elements of a kernel that one offset into y's panel serves: of each of a channel's rows, or -1 where there is none.
struct Shift {
  int64_t offset;
  std::vector<int64_t> elements;
};

struct Sides {
  bool stacked, whole;      // whole: a segment is one box, so sums are made once and go out at once
  int64_t rows_each, pitch;  // rows of one channel of y; numbers of 16 bits from a row to the next
  int64_t x_row;            // positions, whole blocks of 32
  int64_t columns;          // channels of x, whole registers
  int64_t x_panel, y_panel, y_part, sums_pitch, sums, staged;  // in numbers of 32 bits
  std::vector<Shift> shifts;

  Sides(const Plan& plan, const Layout& at) : stacked(plan.lanes == Lanes::stacked), whole(plan.segments == at.box_count()) {
    rows_each = stacked ? at.source_phase_count() : 1;
    pitch = stacked ? at.panel.row : at.panel.channel;
    x_row = round_up(at.positions, 32);
    columns = round_up(at.target_channels, 16);
    x_panel = columns * x_row / 2 * plan.parts;
    y_part = round_up(plan.chunk * rows_each, 16) * pitch / 2;
    y_panel = y_part * plan.parts;
    sums_pitch = whole ? at.tile_lanes : columns;
    if (sums_pitch % 512 == 0) sums_pitch += 16;  // rows a multiple of 2 KiB apart would fight for the same lines of L1
    sums = plan.chunk * at.kernel_cells * sums_pitch;
    staged = std::max(16 * x_row, at.staged * at.panel.channel);
    for (size_t k = 0; k < at.phases[0].offsets.size(); ++k) {
      const int64_t offset = at.phases[0].offsets[k], phase = stacked ? offset / at.panel.row : 0;
      const int64_t own = offset - phase * at.panel.row;
      auto shift = std::find_if(shifts.begin(), shifts.end(), [&](const Shift& s) { return s.offset == own; });
      if (shift == shifts.end())
        shift = shifts.insert(shifts.end(), {own, std::vector<int64_t>(static_cast<size_t>(rows_each), -1)});
      shift->elements[static_cast<size_t>(phase)] = at.phases[0].kernel[k];
    }
  }
};

// y's rows of a box, some channels: [part][channel][phase][position], 16 bits each.
template <class S, class T>
void pack_rows(const Plan& plan, const Layout& at, const KernelSet<T>& kernels, const Storage<S>& storage, const S* y,
               int64_t channels, const Box& box, const Sides& sides, T* panel, T* rows, T* line) {
  const PanelPacker<S> packer(at, kernels, storage, box, line);
  const int64_t row = at.panel.channel;
  for (int64_t o = 0; o < channels; o += at.staged) {
    const int64_t some = std::min(at.staged, channels - o);
    packer.pack(y + o * at.source.channel, some, channels - o - some, rows);
    for (int64_t i = 0; i < some * row; i += 32)
      kernels.matrix.split_row(rows + i, plan.parts, panel + (o * row + i) / 2, sides.y_part);
  }
}

// x's channels of a box: [16 channels][32 positions][part][pair of positions][channel].
template <class S, class T>
void pack_columns(const Plan& plan, const Layout& at, const KernelSet<T>& kernels, const Storage<S>& storage, const S* x,
                  const Box& box, int64_t blocks, T* panel, T* rows) {
  const int64_t row = blocks * 32;
  for (int64_t i = 0; i < at.target_channels; i += 16) {
    const int64_t channels = std::min<int64_t>(16, at.target_channels - i);
    std::fill_n(rows, 16 * row, T(0));
    for (int64_t n = 0; n < box.size[0]; ++n)
      for (int64_t cz = 0; cz < box.size[1]; ++cz)
        for (int64_t cy = 0; cy < box.size[2]; ++cy) {
          const int64_t cell = ((box.begin[1] + cz) * at.axis[1].target_size + box.begin[2] + cy) * at.axis[2].target_size + box.begin[3];
          storage.transpose(kernels, x + (box.begin[0] + n) * at.target.batch + i * at.target.channel + cell * at.target.position,
                            at.target.position, at.target.channel, channels, box.size[3], rows + at.panel.position(n, cz, cy), row);
        }
    for (int64_t k = 0; k < blocks; ++k, panel += plan.parts * 256) {
      alignas(64) T pairs[3 * 256];
      for (int64_t c = 0; c < 16; ++c) kernels.matrix.split_row(rows + c * row + 32 * k, plan.parts, pairs + 16 * c, 256);
      for (int64_t p = 0; p < plan.parts; ++p) kernels.transpose(pairs + 256 * p, 16, 1, 16, 16, panel + 256 * p, 16);
    }
  }
}

}  // namespace

int64_t matrix_gradient_workspace(const Plan& plan, const Layout& at) {
  const Sides sides(plan, at);
  return (sides.x_panel + sides.y_panel + sides.sums + sides.staged + at.line) * computed_size(plan.dtype);
}

template <class S>
void run_matrix_gradient(const Plan& plan, const Layout& at, int64_t workspace, const S* x, const S* y, S* gradient) {
  using T = typename Storage<S>::T;
  const Sides sides(plan, at);
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  const int64_t groups = plan.problem.groups, boxes = at.box_count(), segments = plan.segments, cells = at.kernel_cells;
  const int64_t chunks = ceil_div(at.source_channels, plan.chunk);
  const Segments<S> segment_sums(plan, storage, gradient);
  Workers workers(plan.most_threads);

  // Where the sums of each row go, shift by shift; those past the last are never kept.
  const int64_t all_rows = round_up(plan.chunk * sides.rows_each, 32);
  std::vector<int64_t> places(static_cast<size_t>(all_rows) * sides.shifts.size(), -1);
  for (size_t s = 0; s < sides.shifts.size(); ++s)
    for (int64_t r = 0; r < plan.chunk * sides.rows_each; ++r) {
      const int64_t element = sides.shifts[s].elements[static_cast<size_t>(r % sides.rows_each)];
      if (element >= 0) places[s * static_cast<size_t>(all_rows) + static_cast<size_t>(r)] = (r / sides.rows_each * cells + element) * sides.sums_pitch;
    }

  // Each task sums some boxes into the gradients of some of y's channels.
  parallel_for(groups * segments * chunks, workers.threads(), [&](int64_t task, int index) {
    Worker& worker = workers[index];  // holds: which segment of which group lies in x's panel
    T *x_panel = worker.template memory<T>(static_cast<size_t>(workspace)), *y_panel = x_panel + sides.x_panel;
    T *sums = y_panel + sides.y_panel, *staged = sums + sides.sums, *line = staged + sides.staged;
    const int64_t chunk = task % chunks, segment = task / chunks % segments, group = task / chunks / segments;
    const int64_t first = chunk * plan.chunk, count = std::min(plan.chunk, at.source_channels - first);
    const int64_t begin = boxes * segment / segments, end = boxes * (segment + 1) / segments, rows = count * sides.rows_each;
    T* out = segment_sums[segment] + (group * at.target_channels * at.source_channels + first) * cells;
    const MatrixUse<T> use(kernels, true);

    for (int64_t b = begin; b < end; ++b) {
      const Box box = box_at(plan, at, b);
      const int64_t positions = at.panel.position(box.size[0] - 1, box.size[1] - 1, box.size[2] - 1) + box.size[3];
      const int64_t blocks = ceil_div(positions, 32), tile = blocks * plan.parts * 256;  // of 16 channels of x
      if (!sides.whole || worker.holds != group * segments + segment)
        pack_columns(plan, at, kernels, storage, x + group * at.target.group, box, blocks, x_panel, staged);
      worker.holds = group * segments + segment;
      pack_rows(plan, at, kernels, storage, y + group * at.source.group + first * at.source.channel, count, box, sides, y_panel, staged, line);
      for (int64_t i = 0; i < at.target_channels; i += at.tile_lanes) {
        const int64_t channels = std::min(at.tile_lanes, at.target_channels - i);
        T* own = sums + (sides.whole ? 0 : i);
        CorrelateArgs<T> args{};
        args.a_row = sides.pitch, args.a_part = 2 * sides.y_part;
        args.b = x_panel + i / 16 * tile, args.b_tile = tile, args.blocks = blocks;
        args.c = own, args.accumulate = b != begin;
        for (int64_t r = 0; r < rows; r += plan.rows) {
          const auto correlate = kernels.matrix.correlate[plan.parts > 1][ceil_div(std::min<int64_t>(plan.rows, rows - r), 16)][ceil_div(channels, 16)];
          for (size_t s = 0; s < sides.shifts.size(); ++s) {
            args.a = reinterpret_cast<const uint16_t*>(y_panel) + at.panel.first + sides.shifts[s].offset + r * sides.pitch;
            args.places = places.data() + s * static_cast<size_t>(all_rows) + r;
            correlate(args);
          }
        }
        // Turn [channel of y][element][channel of x] into the weights' own layout.
        if (b + 1 == end)
          kernels.transpose(own, sides.sums_pitch, 1, channels, count * cells, out + i * at.source_channels * cells, at.source_channels * cells);
      }
    }
  });
  segment_sums.add();
}

template void run_matrix_gradient(const Plan&, const Layout&, int64_t, const float*, const float*, float*);
template void run_matrix_gradient(const Plan&, const Layout&, int64_t, const Half*, const Half*, Half*);
template void run_matrix_gradient(const Plan&, const Layout&, int64_t, const Brain*, const Brain*, Brain*);
template void run_matrix_gradient(const Plan&, const Layout&, int64_t, const double*, const double*, double*);

}  // namespace tconv
