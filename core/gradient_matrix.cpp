// The weight gradient in matrix registers.
//
//   gradient[i][o][k] = sum over batch and cells q of  x[i][q] * y[o][q * stride + k * dilation - lo]
//
// Registers run along the positions of a box, including the gaps between its rows, where x is zero. y is
// split into its phases. Each phase is stored as lines of bfloat16 numbers in parts, in which a kernel
// element is an offset. Rows of a tile are channels of x. Columns are channels of y, one phase at a time
// (y_channels), or all phases of each (y_phases), where the elements with one offset share a tile.
#include <algorithm>
#include <numeric>
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

// The kernel elements with one offset: one for each column of a channel, or -1 where there is none.
struct Shift {
  int64_t phase, offset;  // of one phase, or of all
  std::vector<int64_t> elements;
};

struct Sides {
  bool whole;             // a segment is one box: its sums are computed and stored once
  int64_t phases, apart;  // of y; those with separate tiles
  int64_t each;           // columns of one channel of y in a tile
  int64_t together;       // channels of y that are packed together: whole registers
  int64_t x_row;          // positions, whole blocks of 32
  int64_t rows;           // channels of x, whole registers
  int64_t x_panel, y_panel, y_part, y_tile, sums_pitch, sums, staged;  // in numbers of 32 bits
  bool odd;                                                            // whether some offset is
  std::vector<Shift> shifts;

  Sides(const Plan& plan, const GradientPlan& part, const Layout& at)
      : whole(plan.segments == at.box_count()), phases(at.source_phase_count()), odd(false) {
    each = part.lanes == GradientLanes::y_phases ? phases : 1;
    apart = phases / each;
    together = 16 / std::gcd(int64_t{16}, each);
    if (at.source.position > 1) together = round_up(16, together);
    for (size_t k = 0; k < at.phases[0].offsets.size(); ++k) {
      const int64_t offset = at.phases[0].offsets[k] % at.panel.row,
                    phase = at.phases[0].offsets[k] / at.panel.row;
      const int64_t own = each > 1 ? 0 : phase;
      auto shift = std::find_if(shifts.begin(), shifts.end(),
                                [&](const Shift& s) { return s.offset == offset && s.phase == own; });
      if (shift == shifts.end())
        shift =
            shifts.insert(shifts.end(), {own, offset, std::vector<int64_t>(static_cast<size_t>(each), -1)});
      shift->elements[static_cast<size_t>(phase - own)] = at.phases[0].kernel[k];
      odd = odd || offset % 2 != 0;
    }
    x_row = round_up(at.positions, 32);
    rows = round_up(at.target_channels, 16);
    x_panel = rows * x_row / 2 * part.parts;
    y_part = at.panel.row / 2 * 16;
    y_tile = y_part * part.parts * (odd ? 2 : 1);
    y_panel = ceil_div(round_up(part.y_channels, together) * each, 16) * apart * y_tile;
    sums_pitch = whole ? part.rows : rows;
    if (sums_pitch % 256 == 0) sums_pitch += 16;  // lines a multiple of 1 KiB apart would conflict in L1
    sums = part.y_channels * at.kernel_cells * sums_pitch;
    staged = std::max(16 * x_row, together * at.panel.channel);
  }
};

// y's channels of a box: [16 channels with their phases][one phase, if apart][odd][part][pair of
// positions][column].
template <class S, class T>
void pack_columns(int parts, const Layout& at, const KernelSet<T>& kernels, const Storage<S>& storage,
                  const S* y, int64_t channels, const Box& box, const Sides& sides, T* panel, T* rows,
                  T* line) {
  const PanelPacker<S> packer(at, kernels, storage, box, line);
  const int64_t row = at.panel.row;
  for (int64_t o = 0; o < channels; o += sides.together) {
    const int64_t some = std::min(sides.together, channels - o);
    packer.pack(y + o * at.source.channel, some, channels - o - some, rows);
    for (int64_t c = 0; c < some * sides.each; c += 16)
      for (int64_t phase = 0; phase < sides.apart; ++phase, panel += sides.y_tile) {
        kernels.matrix.split_columns(rows + c * row * sides.apart + phase * row, row * sides.apart, row / 32,
                                     parts, panel, sides.y_part);
        for (int p = 0; sides.odd && p < parts; ++p)
          kernels.matrix.shift_pairs(panel + p * sides.y_part, row, panel + (parts + p) * sides.y_part);
      }
  }
}

// x's channels of a box: [16 channels][32 positions][part][channel][position].
template <class S, class T>
void pack_rows(int parts, const Layout& at, const KernelSet<T>& kernels, const Storage<S>& storage,
               const S* x, const Box& box, int64_t blocks, T* panel, T* rows) {
  const int64_t row = blocks * 32;
  for (int64_t i = 0; i < at.target_channels; i += 16) {
    const int64_t channels = std::min<int64_t>(16, at.target_channels - i);
    std::fill_n(rows, 16 * row, T(0));
    for (int64_t n = 0; n < box.size[0]; ++n)
      for (int64_t cz = 0; cz < box.size[1]; ++cz)
        for (int64_t cy = 0; cy < box.size[2]; ++cy) {
          const int64_t cell =
              ((box.begin[1] + cz) * at.axis[1].target_size + box.begin[2] + cy) * at.axis[2].target_size +
              box.begin[3];
          storage.transpose(
              kernels,
              x + (box.begin[0] + n) * at.target.batch + i * at.target.channel + cell * at.target.position,
              at.target.position, at.target.channel, channels, box.size[3],
              rows + at.panel.position(n, cz, cy), row);
        }
    kernels.matrix.split_rows(rows, row, blocks, parts, panel + i * row / 2 * parts);
  }
}

template <class S> void sum_gradient(const Setup& setup, const S* x, const S* y, S* gradient) {
  using T = typename Storage<S>::T;
  const Plan& plan = setup.plan;
  const GradientPlan& part = std::get<GradientPlan>(plan.part);
  const Layout& at = setup.layout;
  const Sides sides(plan, part, at);
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  const int64_t groups = plan.problem.groups, boxes = at.box_count(), segments = plan.segments,
                cells = at.kernel_cells;
  const int64_t chunks = ceil_div(at.source_channels, part.y_channels);
  const Segments<S> segment_sums(plan, storage, gradient);
  Workers workers(plan.most_threads);

  // Where the sums of each column are stored, shift by shift; those past the last are discarded.
  const size_t all = static_cast<size_t>(part.y_channels * sides.each),
               padded = static_cast<size_t>(round_up(part.y_channels * sides.each, 16) + 32);
  std::vector<int64_t> places(padded * sides.shifts.size(), -1);
  for (size_t s = 0; s < sides.shifts.size(); ++s)
    for (size_t c = 0; c < all; ++c) {
      const int64_t element = sides.shifts[s].elements[c % static_cast<size_t>(sides.each)],
                    channel = static_cast<int64_t>(c) / sides.each;
      if (element >= 0) places[s * padded + c] = (channel * cells + element) * sides.sums_pitch;
    }

  // Each task sums some boxes into the gradients of some of y's channels.
  parallel_for(groups * segments * chunks, workers.threads(), [&](int64_t task, int index) {
    Worker& worker =
        workers[index];  // holds: which segment of which group is in x's panel, if that is one box
    T *x_panel = worker.template memory<T>(static_cast<size_t>(setup.workspace)),
      *y_panel = x_panel + sides.x_panel;
    T *sums = y_panel + sides.y_panel, *staged = sums + sides.sums, *line = staged + sides.staged;
    const int64_t chunk = task % chunks, segment = task / chunks % segments, group = task / chunks / segments;
    const int64_t first = chunk * part.y_channels,
                  count = std::min(part.y_channels, at.source_channels - first);
    const int64_t begin = boxes * segment / segments, end = boxes * (segment + 1) / segments,
                  columns = count * sides.each;
    T* out = segment_sums[segment] + (group * at.target_channels * at.source_channels + first) * cells;
    const MatrixUse<T> use(kernels, true);

    for (int64_t b = begin; b < end; ++b) {
      const Box box = box_at(at, b);
      const int64_t positions =
          at.panel.position(box.size[0] - 1, box.size[1] - 1, box.size[2] - 1) + box.size[3];
      CorrelateArgs<T> args{};
      args.blocks = ceil_div(positions, 32);
      args.a_tile = args.blocks * part.parts * 256, args.b_tile = sides.apart * sides.y_tile,
      args.b_part = sides.y_part;
      args.accumulate = b != begin;
      if (!sides.whole || worker.holds != group * segments + segment)
        pack_rows(part.parts, at, kernels, storage, x + group * at.target.group, box, args.blocks, x_panel,
                  staged);
      worker.holds = group * segments + segment;
      pack_columns(part.parts, at, kernels, storage, y + group * at.source.group + first * at.source.channel,
                   count, box, sides, y_panel, staged, line);
      for (int64_t i = 0; i < at.target_channels; i += part.rows) {
        const int64_t channels = std::min<int64_t>(part.rows, at.target_channels - i);
        T* own = sums + (sides.whole ? 0 : i);
        args.a = x_panel + i / 16 * args.a_tile, args.c = own;
        for (int64_t c = 0; c < columns; c += at.tile_lanes) {
          const auto correlate = kernels.matrix.correlate[part.parts - 1][ceil_div(channels, 16)]
                                                         [ceil_div(std::min(at.tile_lanes, columns - c), 16)];
          for (size_t s = 0; s < sides.shifts.size(); ++s) {
            const Shift& shift = sides.shifts[s];
            args.b = y_panel + c / 16 * args.b_tile + shift.phase * sides.y_tile + shift.offset / 2 * 16 +
                     shift.offset % 2 * part.parts * sides.y_part;
            args.places = places.data() + s * padded + c;
            correlate(args);
          }
        }
        // Transpose [channel of y][element][channel of x] to the layout of the weights.
        for (int64_t r = 0; b + 1 == end && r < channels; r += 16)
          kernels.transpose(own + r, sides.sums_pitch, 1, std::min<int64_t>(16, channels - r), count * cells,
                            out + (i + r) * at.source_channels * cells, at.source_channels * cells);
      }
    }
  });
  segment_sums.add();
}

}  // namespace

int64_t matrix_gradient_workspace(const Setup& setup) {
  const Layout& at = setup.layout;
  const Sides sides(setup.plan, std::get<GradientPlan>(setup.plan.part), at);
  return (sides.x_panel + sides.y_panel + sides.sums + sides.staged + at.line) * at.size;
}

void run_matrix_gradient(const Setup& setup, const Arrays& arrays) {
  with_storage(setup.plan.operands.source, [&](auto type) {
    using S = decltype(type);
    sum_gradient(setup, static_cast<const S*>(arrays.source), static_cast<const S*>(arrays.weight),
                 static_cast<S*>(arrays.target));
  });
}

}  // namespace tconv
