// The weight gradient of wide kernels, with elements of the kernel along x as lanes.
//
// For one row of one kernel, gradient[i][o][kz][ky][:] accumulates x[i][q] times a range of y that begins at
// q * stride. The range and the row of the gradient are contiguous in memory, so y is only copied, one
// channel at a time, with zeros around it. Rows of kernels fill whole vectors. This is for large strides and
// few channels: FCN's 64x64 kernels, the inverse STFT.
#include <vector>

#include "gradient.hpp"
#include "memory.hpp"
#include "panel.hpp"
#include "segments.hpp"
#include "storage.hpp"
#include "threads.hpp"
#include "wide.hpp"
#include "workers.hpp"

namespace tconv {

namespace {

template <class S> void sum_gradient(const Setup& setup, const S* x, const S* y, S* gradient) {
  using T = typename Storage<S>::T;
  const Plan& plan = setup.plan;
  const GradientPlan& part = std::get<GradientPlan>(plan.part);
  const Layout& at = setup.layout;
  const Problem& p = plan.problem;
  const Wide wide(p, at.box);
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  const int64_t boxes = at.box_count(), segments = plan.segments;
  // The gradient is split into ranges of kernel rows (`stretches`), each as wide as a tile. Tasks share them.
  const int64_t across = ceil_div(p.kernel[2], at.tile_lanes), of_one = p.kernel[0] * p.kernel[1] * across;
  const int64_t stretches = p.out_channels * of_one, chunks = ceil_div(stretches, part.stretches);
  const Side &x_side = at.target, &y_side = at.source;
  const Segments<S> sums(plan, storage, gradient);
  Workers workers(plan.most_threads);

  // Each task sums some boxes into some of these ranges.
  parallel_for(p.groups * segments * chunks, workers.threads(), [&](int64_t task, int worker) {
    T *x_panel = workers[worker].template memory<T>(static_cast<size_t>(setup.workspace)),
      *y_panel = x_panel + wide.x_panel;
    const int64_t chunk = task % chunks, segment = task / chunks % segments, group = task / chunks / segments;
    std::vector<int64_t> rows;

    const int64_t begin = boxes * segment / segments, end = boxes * (segment + 1) / segments;
    for (int64_t b = begin; b < end; ++b) {
      const Box box = box_at(at, b);
      rows.clear();
      for (int64_t n = 0; n < box.size[0]; ++n)
        for (int64_t z = 0; z < box.size[1]; ++z)
          for (int64_t r = 0; r < box.size[2]; ++r) {
            const int64_t cell =
                ((box.begin[1] + z) * p.input[1] + box.begin[2] + r) * p.input[2] + box.begin[3];
            storage.transpose(
                kernels,
                x + (box.begin[0] + n) * x_side.batch + group * x_side.group + cell * x_side.position,
                x_side.channel, x_side.position, box.size[3], p.in_channels,
                x_panel + static_cast<int64_t>(rows.size()) * box.size[3] * p.in_channels, p.in_channels);
            rows.push_back(((n * wide.size[0] + z * p.stride[0]) * wide.size[1] + r * p.stride[1]) *
                           wide.size[2]);
          }

      TileArgs<T> tile{};
      tile.taps = static_cast<int64_t>(rows.size());
      tile.offsets = rows.data();
      tile.steps = box.size[3];
      tile.a_tap = box.size[3] * p.in_channels, tile.a_step = p.in_channels;
      tile.b_on = 1, tile.b_step = p.stride[2];
      tile.c_stride = p.out_channels * at.kernel_cells;
      tile.accumulate = b != begin;
      int64_t copied = -1;  // the channel of y in the panel
      for (int64_t u = chunk * part.stretches; u < std::min((chunk + 1) * part.stretches, stretches); ++u) {
        const int64_t o = u / of_one, kz = u % of_one / across / p.kernel[1], ky = u / across % p.kernel[1];
        const int64_t j = u % across * at.tile_lanes;
        if (copied != o)
          copy_plane(p, kernels, storage, wide, box, y + group * y_side.group + o * y_side.channel, y_side,
                     y_panel);
        copied = o;
        tile.b = y_panel + (kz * p.dilation[0] * wide.size[1] + ky * p.dilation[1]) * wide.size[2] + j;
        for (int64_t i = 0; i < p.in_channels; i += part.rows) {
          tile.a = x_panel + i;
          tile.c = sums[segment] + (group * p.in_channels + i) * tile.c_stride + o * at.kernel_cells +
                   (kz * p.kernel[1] + ky) * p.kernel[2] + j;
          kernels.tile[std::min<int64_t>(part.rows, p.in_channels - i)]
                      [std::min(at.tile_lanes, p.kernel[2] - j) / at.lanes](tile);
        }
      }
    }
  });
  sums.add();
}

}  // namespace

int64_t wide_gradient_workspace(const Setup& setup) {
  const Wide wide(setup.plan.problem, setup.layout.box);
  return (wide.x_panel + wide.y_panel) * setup.layout.size;
}

void run_wide_gradient(const Setup& setup, const Arrays& arrays) {
  with_storage(setup.plan.operands.source, [&](auto type) {
    using S = decltype(type);
    sum_gradient(setup, static_cast<const S*>(arrays.source), static_cast<const S*>(arrays.weight),
                 static_cast<S*>(arrays.target));
  });
}

}  // namespace tconv
