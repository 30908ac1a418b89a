// The algorithm `dots`: tiles of dot products. Both operands are read along the reduction, so that nothing is
// transposed.
//
// The weight gradient of few channels reduces over positions: a row of x times y's phases, shifted by each
// tap. The convolution with wide kernels reduces over kernel elements: a row of weights, in memory order,
// times a range of y.
#include <numeric>
#include <vector>

#include "dots.hpp"
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

// Cells of one channel of x in the order of y's panel, padded to whole vectors.
int64_t x_row(const Layout& at) {
  const int64_t row = round_up(at.positions, at.lanes);
  // Channels a multiple of 4 KiB apart would conflict in the same few cache lines of L1.
  return row * at.size % 4096 == 0 ? row + at.lanes : row;
}

template <class S> void sum_gradient(const Setup& setup, const S* x, const S* y, S* gradient) {
  using T = typename Storage<S>::T;
  const Plan& plan = setup.plan;
  const DotsPlan& part = std::get<DotsPlan>(plan.part);
  const Layout& at = setup.layout;
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  const int64_t groups = plan.problem.groups, boxes = at.box_count(), segments = plan.segments,
                pitch = x_row(at);
  const int64_t weights = at.source_channels * at.kernel_cells;  // of one channel of x
  const int64_t chunks = ceil_div(at.source_channels, part.y_channels);
  const Segments<S> sums(plan, storage, gradient);

  // Taps of one phase are consecutive: their ranges of y overlap.
  std::vector<size_t> order(static_cast<size_t>(at.kernel_cells));
  std::iota(order.begin(), order.end(), size_t{0});
  const std::vector<int64_t>& offsets = at.phases[0].offsets;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return offsets[a] < offsets[b]; });
  std::vector<int64_t> columns, places;
  for (int64_t o = 0; o < part.y_channels; ++o)
    for (size_t k : order) {
      columns.push_back(o * at.panel.channel + at.panel.first + offsets[k]);
      places.push_back(o * at.kernel_cells + at.phases[0].kernel[k]);
    }

  // Each task sums some boxes into the gradients of some of y's channels.
  Workers workers(plan.most_threads);
  parallel_for(groups * segments * chunks, workers.threads(), [&](int64_t task, int index) {
    Worker& worker = workers[index];  // holds: which box of which group is in x's panel
    T *x_panel = worker.template memory<T>(static_cast<size_t>(setup.workspace)),
      *y_panel = x_panel + at.target_channels * pitch;
    T* line = y_panel + part.y_channels * at.panel.channel;
    const int64_t chunk = task % chunks, segment = task / chunks % segments, group = task / chunks / segments;
    const int64_t first = chunk * part.y_channels,
                  count = std::min(part.y_channels, at.source_channels - first);
    const int64_t begin = boxes * segment / segments, end = boxes * (segment + 1) / segments;
    for (int64_t b = begin; b < end; ++b) {
      const Box box = box_at(at, b);
      PanelPacker<S>(at, kernels, storage, box, line)
          .pack(y + group * at.source.group + first * at.source.channel, count, 0, y_panel);
      const int64_t positions =
          at.panel.position(box.size[0] - 1, box.size[1] - 1, box.size[2] - 1) + box.size[3];
      if (worker.holds != group * boxes + b) {
        std::memset(static_cast<void*>(x_panel), 0,
                    static_cast<size_t>(at.target_channels * pitch) * sizeof(T));
        for (int64_t n = 0; n < box.size[0]; ++n)
          for (int64_t cz = 0; cz < box.size[1]; ++cz)
            for (int64_t cy = 0; cy < box.size[2]; ++cy) {
              const int64_t cell = ((box.begin[1] + cz) * at.axis[1].target_size + box.begin[2] + cy) *
                                       at.axis[2].target_size +
                                   box.begin[3];
              storage.transpose(kernels,
                                x + (box.begin[0] + n) * at.target.batch + group * at.target.group +
                                    cell * at.target.position,
                                at.target.position, at.target.channel, at.target_channels, box.size[3],
                                x_panel + at.panel.position(n, cz, cy), pitch);
            }
      }
      worker.holds = group * boxes + b;
      static constexpr int64_t kNoOffset = 0;
      DotArgs<T> dots{};
      dots.a = x_panel, dots.b = y_panel, dots.a_row = pitch;
      dots.columns = columns.data(), dots.places = places.data();
      dots.offsets = &kNoOffset, dots.taps = 1, dots.steps = ceil_div(positions, at.lanes);
      dots.c = sums[segment] + group * at.target_channels * weights + first * at.kernel_cells,
      dots.c_stride = weights;
      dots.accumulate = b != begin;
      run_tiles(part, kernels, dots, at.target_channels, count * at.kernel_cells);
    }
  });
  sums.add();
}

template <class T> void convolve(const Setup& setup, const T* y, const T* weight, const T* bias, T* x) {
  const Plan& plan = setup.plan;
  const DotsPlan& part = std::get<DotsPlan>(plan.part);
  const Layout& at = setup.layout;
  const Problem& p = plan.problem;
  const Wide wide(p, at.box);
  const ActivationOf<T> activation = activation_of<T>(plan);
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<T> storage(plan.isa);
  const int64_t boxes = at.box_count(), depth = at.source_channels,
                chunks = ceil_div(at.target_channels, part.x_channels);
  // A sum runs over whole channels of y, or over a part of the taps of one.
  const int64_t some = ceil_div(depth, plan.segments),
                most_taps = ceil_div(some * p.kernel[0] * p.kernel[1], ceil_div(plan.segments, depth));

  // One tap is one row of one kernel.
  std::vector<int64_t> offsets;
  for (int64_t o = 0; o < some; ++o)
    for (int64_t kz = 0; kz < p.kernel[0]; ++kz)
      for (int64_t ky = 0; ky < p.kernel[1]; ++ky)
        offsets.push_back(o * wide.y_panel +
                          (kz * p.dilation[0] * wide.size[1] + ky * p.dilation[1]) * wide.size[2]);

  Workers workers(plan.most_threads);
  parallel_for(p.groups * boxes * chunks, workers.threads(), [&](int64_t task, int index) {
    Worker& worker =
        workers[index];  // holds: which box of which group is in the panel, with all of y's channels
    T* panel = worker.template memory<T>(static_cast<size_t>(setup.workspace));
    const int64_t group = task / chunks / boxes, first = task % chunks * part.x_channels;
    const int64_t count = std::min(part.x_channels, at.target_channels - first);
    const Box box = box_at(at, task / chunks % boxes);
    std::vector<int64_t> columns, places;
    for (int64_t n = 0; n < box.size[0]; ++n)
      for (int64_t z = 0; z < box.size[1]; ++z)
        for (int64_t r = 0; r < box.size[2]; ++r)
          for (int64_t c = 0; c < box.size[3]; ++c) {
            columns.push_back(((n * wide.size[0] + z * p.stride[0]) * wide.size[1] + r * p.stride[1]) *
                                  wide.size[2] +
                              c * p.stride[2]);
            places.push_back(
                n * at.target.batch +
                (((box.begin[1] + z) * p.input[1] + box.begin[2] + r) * p.input[2] + box.begin[3] + c) *
                    at.target.position);
          }

    T* target = x + box.begin[0] * at.target.batch + group * at.target.group + first * at.target.channel;
    DotArgs<T> dots{};
    dots.a_row = depth * at.kernel_cells, dots.a_tap = p.kernel[2];
    dots.b = panel, dots.columns = columns.data();
    dots.steps = p.kernel[2] / at.lanes;
    dots.c = target, dots.c_stride = at.target.channel, dots.places = places.data();
    for (int64_t o = 0; o < depth; o += some) {
      const int64_t taken = std::min(some, depth - o);
      if (taken < depth || worker.holds != task / chunks)
        for (int64_t i = 0; i < taken; ++i)
          copy_plane(p, kernels, storage, wide, box,
                     y + group * at.source.group + (o + i) * at.source.channel, at.source,
                     panel + i * wide.y_panel);
      worker.holds = task / chunks;
      const int64_t taps = taken * p.kernel[0] * p.kernel[1];
      for (int64_t t = 0; t < taps; t += most_taps) {
        dots.a =
            weight + ((group * at.target_channels + first) * depth + o) * at.kernel_cells + t * p.kernel[2];
        dots.offsets = offsets.data() + t;
        dots.taps = std::min(most_taps, taps - t);
        dots.accumulate = o + t > 0;
        run_tiles(part, kernels, dots, count, static_cast<int64_t>(columns.size()));
      }
    }
    const int64_t channel = group * at.target_channels + first;
    finish_positions(setup, kernels, activation.from(channel), bias ? bias + channel : nullptr, count, places,
                     box.size[3], target);
  });
}

}  // namespace

int64_t dot_gradient_workspace(const Setup& setup) {
  const Layout& at = setup.layout;
  const int64_t y_channels = std::get<DotsPlan>(setup.plan.part).y_channels;
  return (y_channels * at.panel.channel + at.target_channels * x_row(at) + at.line) * at.size;
}

void run_dot_gradient(const Setup& setup, const Arrays& arrays) {
  with_storage(setup.plan.operands.source, [&](auto type) {
    using S = decltype(type);
    sum_gradient(setup, static_cast<const S*>(arrays.source), static_cast<const S*>(arrays.weight),
                 static_cast<S*>(arrays.target));
  });
}

int64_t dot_conv_workspace(const Setup& setup) {
  const Layout& at = setup.layout;
  return ceil_div(at.source_channels, setup.plan.segments) * Wide(setup.plan.problem, at.box).y_panel *
         at.size;
}

void run_dot_conv(const Setup& setup, const Arrays& arrays) {
  with_real(setup.plan.operands.source, [&](auto type) {
    using T = decltype(type);
    convolve(setup, static_cast<const T*>(arrays.source), static_cast<const T*>(arrays.weight),
             static_cast<const T*>(arrays.bias), static_cast<T*>(arrays.target));
  });
}

}  // namespace tconv
