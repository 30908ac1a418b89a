// The weight gradient: for every kernel element, a matrix product of two transposed panels over all
// positions.
//
//   gradient[i][o][k] = sum over batch and cells q of  x[i][q] * y[o][q * stride + k * dilation - lo]
//
// y is split into its phases as for `conv`, so a kernel element is again one offset into the panel.
// Channels are the lanes: y's or, where y has too few of them, x's.
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

struct Sides {
  int64_t x_channels, y_channels;  // of one task, padded where they are lanes
  int64_t x_pitch, y_pitch;        // numbers of one position
  int64_t x_panel, y_panel;
  int64_t rows, columns;  // sums of one element of the kernel; columns padded to whole vectors
  int64_t sums;
  bool y_lanes;

  Sides(const GradientPlan& part, const Layout& at) : y_lanes(part.lanes == GradientLanes::y_channels) {
    x_channels = part.x_channels;
    y_channels = at.source_channels;
    x_pitch = y_lanes ? x_channels : round_up(x_channels, at.lanes);
    y_pitch = y_lanes ? round_up(y_channels, at.lanes) : y_channels;
    x_panel = at.box[0] * at.box[1] * at.box[2] * at.box[3] * x_pitch;
    y_panel = at.panel.channel * y_pitch;
    rows = y_lanes ? x_channels : y_channels;
    columns = y_lanes ? y_pitch : x_pitch;
    sums = at.kernel_cells * rows * columns;
  }
};

template <class S> void sum_gradient(const Setup& setup, const S* x, const S* y, S* gradient) {
  using T = typename Storage<S>::T;
  const Plan& plan = setup.plan;
  const GradientPlan& part = std::get<GradientPlan>(plan.part);
  const Layout& at = setup.layout;
  const Sides sides(part, at);
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  const int64_t groups = plan.problem.groups, boxes = at.box_count(), segments = plan.segments;
  const std::vector<int64_t>& offsets = at.phases[0].offsets;
  const std::vector<int64_t>& kernel = at.phases[0].kernel;
  const int64_t chunks = ceil_div(at.target_channels, part.x_channels);
  const Segments<S> segment_sums(plan, storage, gradient);
  Workers workers(plan.most_threads);

  // Each task sums some boxes into the gradients of some of x's channels.
  parallel_for(groups * segments * chunks, workers.threads(), [&](int64_t task, int worker) {
    T *x_panel = workers[worker].template memory<T>(static_cast<size_t>(setup.workspace)),
      *y_panel = x_panel + sides.x_panel;
    T* sums = y_panel + sides.y_panel;
    const int64_t chunk = task % chunks, segment = task / chunks % segments, group = task / chunks / segments;
    const int64_t first = chunk * part.x_channels,
                  count = std::min(part.x_channels, at.target_channels - first);
    std::vector<int64_t> rows;

    for (int64_t b = boxes * segment / segments, end = boxes * (segment + 1) / segments, begin = b; b < end;
         ++b) {
      const Box box = box_at(at, b);
      std::memset(static_cast<void*>(x_panel), 0,
                  static_cast<size_t>(sides.x_panel + sides.y_panel) * sizeof(T));
      rows.clear();
      std::vector<Stretch> stretches;
      for (int64_t phase : at.axis[2].source_phases) stretches.emplace_back(at.axis[2], box, phase);
      for (int64_t n = 0; n < box.size[0]; ++n) {
        const S* y_item = y + (box.begin[0] + n) * at.source.batch + group * at.source.group;
        each_source_line(at, box, [&](int64_t phase, int64_t position, int64_t index) {
          for (const Stretch& s : stretches)
            storage.transpose(
                kernels,
                y_item + (index + s.origin + s.begin * at.axis[2].source_stride) * at.source.position,
                at.source.channel, at.axis[2].source_stride * at.source.position, s.end - s.begin,
                at.source_channels,
                y_panel + (phase++ * at.panel.row + at.panel.first + at.panel.position(n, 0, 0) + position +
                           s.begin) *
                              sides.y_pitch,
                sides.y_pitch);
        });
        const S* x_item =
            x + (box.begin[0] + n) * at.target.batch + group * at.target.group + first * at.target.channel;
        for (int64_t cz = 0; cz < box.size[1]; ++cz)
          for (int64_t cy = 0; cy < box.size[2]; ++cy) {
            const int64_t row = static_cast<int64_t>(rows.size());
            const int64_t cell =
                ((box.begin[1] + cz) * at.axis[1].target_size + box.begin[2] + cy) * at.axis[2].target_size +
                box.begin[3];
            storage.transpose(kernels, x_item + cell * at.target.position, at.target.channel,
                              at.target.position, box.size[3], count,
                              x_panel + row * box.size[3] * sides.x_pitch, sides.x_pitch);
            rows.push_back(at.panel.position(n, cz, cy) * sides.y_pitch);
          }
      }

      // Rows of cells are the taps of a tile, the cells of a row its steps: gaps are never accumulated.
      TileArgs<T> tile{};
      tile.taps = static_cast<int64_t>(rows.size());
      tile.offsets = rows.data();
      tile.steps = box.size[3];
      tile.c_stride = sides.columns;
      tile.accumulate = b != begin;
      const int64_t height = sides.y_lanes ? count : sides.y_channels;
      const int64_t width = sides.y_lanes ? sides.y_channels : count;
      for (size_t k = 0; k < offsets.size(); ++k) {
        const T* shifted = y_panel + (at.panel.first + offsets[k]) * sides.y_pitch;
        T* c = sums + kernel[k] * sides.rows * sides.columns;
        for (int64_t i = 0; i < height; i += part.rows)
          for (int64_t j = 0; j < width; j += at.tile_lanes) {
            const T *own = x_panel + (sides.y_lanes ? i : j), *other = shifted + (sides.y_lanes ? j : i);
            tile.a = sides.y_lanes ? own : other;
            tile.b = sides.y_lanes ? other : own;
            tile.a_tap = sides.y_lanes ? box.size[3] * sides.x_pitch : 0;
            tile.b_tap = sides.y_lanes ? 0 : box.size[3] * sides.x_pitch;
            tile.a_on = !sides.y_lanes, tile.b_on = sides.y_lanes;
            tile.a_step = sides.y_lanes ? sides.x_pitch : sides.y_pitch;
            tile.b_step = sides.y_lanes ? sides.y_pitch : sides.x_pitch;
            tile.c = c + i * sides.columns + j;
            kernels.tile[std::min<int64_t>(part.rows, height - i)]
                        [ceil_div(std::min(at.tile_lanes, width - j), at.lanes)](tile);
          }
      }
    }

    // Transpose [element][row][column] to the layout of the weights.
    T* out =
        segment_sums[segment] + (group * at.target_channels + first) * at.source_channels * at.kernel_cells;
    for (int64_t i = 0; i < count; ++i, out += at.source_channels * at.kernel_cells)
      kernels.transpose(sums + (sides.y_lanes ? i * sides.columns : i), sides.rows * sides.columns,
                        sides.y_lanes ? 1 : sides.columns, at.source_channels, at.kernel_cells, out,
                        at.kernel_cells);
  });
  segment_sums.add();
}

}  // namespace

int64_t gradient_workspace(const Setup& setup) {
  const Sides sides(std::get<GradientPlan>(setup.plan.part), setup.layout);
  return (sides.x_panel + sides.y_panel + sides.sums) * setup.layout.size;
}

void run_gradient(const Setup& setup, const Arrays& arrays) {
  with_storage(setup.plan.operands.source, [&](auto type) {
    using S = decltype(type);
    sum_gradient(setup, static_cast<const S*>(arrays.source), static_cast<const S*>(arrays.weight),
                 static_cast<S*>(arrays.target));
  });
}

}  // namespace tconv
