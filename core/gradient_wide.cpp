// The weight gradient of wide kernels, with elements of the kernel along x as lanes (Lanes::kernel).
//
// For one row of one kernel, gradient[i][o][kz][ky][:] adds x[i][q] times a stretch of y that begins at q * stride: both
// the stretch and the row of the gradient lie in memory as they are needed, so y is only copied, one channel at a time,
// with zeros around it. Big strides and few channels are what this is for: FCN's 64x64 kernels, the inverse STFT.
#include <vector>

#include "gradient.hpp"
#include "memory.hpp"
#include "panel.hpp"
#include "storage.hpp"
#include "threads.hpp"
#include "workers.hpp"

namespace tconv {
namespace {

struct Wide {
  int64_t size[3];      // of y's panel
  int64_t row;          // of the gradient, padded to whole tiles
  int64_t x_panel, y_panel;
  int64_t channel;      // sums of one channel of y

  Wide(const Plan& plan, const Layout& at) {
    const Problem& p = plan.problem;
    for (int i = 0; i < 3; ++i)
      size[i] = (plan.box[i + 1] - 1) * p.stride[i] + p.dilation[i] * (p.kernel[i] - 1) + 1;
    row = round_up(p.kernel[2], at.lanes);
    size[2] += row - p.kernel[2];
    x_panel = plan.box[0] * plan.box[1] * plan.box[2] * plan.box[3] * p.in_channels;
    y_panel = plan.box[0] * size[0] * size[1] * size[2];
    channel = p.kernel[0] * p.kernel[1] * p.in_channels * row;
  }
};

// Copies one channel's part of y that a box reads, zeros where it reaches outside.
template <class S, class T>
void copy_plane(const Plan& plan, const Storage<S>& storage, const Wide& wide, const Box& box, const S* y,
                int64_t batch_stride, T* to) {
  const Problem& p = plan.problem;
  int64_t origin[3];
  for (int i = 0; i < 3; ++i) origin[i] = box.begin[i + 1] * p.stride[i] - p.lo[i];
  const int64_t begin = std::clamp<int64_t>(-origin[2], 0, wide.size[2]);
  const int64_t end = std::clamp<int64_t>(p.output[2] - origin[2], begin, wide.size[2]);
  for (int64_t n = 0; n < box.size[0]; ++n)
    for (int64_t z = 0; z < wide.size[0]; ++z)
      for (int64_t r = 0; r < wide.size[1]; ++r, to += wide.size[2]) {
        const int64_t sz = origin[0] + z, sy = origin[1] + r;
        const bool inside = sz >= 0 && sz < p.output[0] && sy >= 0 && sy < p.output[1];
        const int64_t first = inside ? begin : wide.size[2], last = inside ? end : wide.size[2];
        std::fill(to, to + first, T(0));
        if (inside && last > first)
          storage.load(y + (box.begin[0] + n) * batch_stride + (sz * p.output[1] + sy) * p.output[2] + origin[2] + first,
                      last - first, to + first);
        std::fill(to + last, to + wide.size[2], T(0));
      }
}

}  // namespace

int64_t wide_gradient_workspace(const Plan& plan, const Layout& at) {
  const Wide wide(plan, at);
  return (wide.x_panel + wide.y_panel) * computed_size(plan.dtype);
}

template <class S>
void run_wide_gradient(const Plan& plan, const Layout& at, int64_t workspace, const S* x, const S* y, S* gradient) {
  using T = typename Storage<S>::T;
  const Problem& p = plan.problem;
  const Wide wide(plan, at);
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  const int64_t boxes = at.box_count(), segments = plan.segments, chunks = ceil_div(p.out_channels, plan.chunk);
  const int64_t x_plane = p.input[0] * p.input[1] * p.input[2], y_plane = p.output[0] * p.output[1] * p.output[2];
  const int64_t x_batch = p.groups * p.in_channels * x_plane, y_batch = p.groups * p.out_channels * y_plane;
  Block partial(static_cast<size_t>(segments * p.groups * p.out_channels * wide.channel) * sizeof(T));
  Workers workers(plan.most_threads);

  // Each task sums some boxes into the gradients of some of y's channels.
  parallel_for(p.groups * segments * chunks, workers.threads(), [&](int64_t task, int worker) {
    T *x_panel = workers[worker].template memory<T>(static_cast<size_t>(workspace)), *y_panel = x_panel + wide.x_panel;
    const int64_t chunk = task % chunks, segment = task / chunks % segments, group = task / chunks / segments;
    std::vector<int64_t> rows;

    const int64_t begin = boxes * segment / segments, end = boxes * (segment + 1) / segments;
    for (int64_t b = begin; b < end; ++b) {
      const Box box = box_at(plan, at, b);
      rows.clear();
      for (int64_t n = 0; n < box.size[0]; ++n)
        for (int64_t z = 0; z < box.size[1]; ++z)
          for (int64_t r = 0; r < box.size[2]; ++r) {
            const int64_t cell = ((box.begin[1] + z) * p.input[1] + box.begin[2] + r) * p.input[2] + box.begin[3];
            storage.transpose(kernels, x + (box.begin[0] + n) * x_batch + group * p.in_channels * x_plane + cell, x_plane, 1,
                              box.size[3], p.in_channels,
                              x_panel + static_cast<int64_t>(rows.size()) * box.size[3] * p.in_channels, p.in_channels);
            rows.push_back(((n * wide.size[0] + z * p.stride[0]) * wide.size[1] + r * p.stride[1]) * wide.size[2]);
          }

      TileArgs<T> tile{};
      tile.taps = static_cast<int64_t>(rows.size());
      tile.offsets = rows.data();
      tile.steps = box.size[3];
      tile.a_tap = box.size[3] * p.in_channels, tile.a_step = p.in_channels;
      tile.b_on = 1, tile.b_step = p.stride[2];
      tile.c_stride = wide.row;
      tile.accumulate = b != begin;
      for (int64_t o = chunk * plan.chunk; o < std::min((chunk + 1) * plan.chunk, p.out_channels); ++o) {
        const int64_t channel = group * p.out_channels + o;
        copy_plane(plan, storage, wide, box, y + channel * y_plane, y_batch, y_panel);
        T* sums = partial.template as<T>() + (segment * p.groups * p.out_channels + channel) * wide.channel;
        for (int64_t kz = 0; kz < p.kernel[0]; ++kz)
          for (int64_t ky = 0; ky < p.kernel[1]; ++ky, sums += p.in_channels * wide.row)
            for (int64_t j = 0; j < wide.row; j += at.tile_lanes)
              for (int64_t i = 0; i < p.in_channels; i += plan.rows) {
                tile.a = x_panel + i;
                tile.b = y_panel + (kz * p.dilation[0] * wide.size[1] + ky * p.dilation[1]) * wide.size[2] + j;
                tile.c = sums + i * wide.row + j;
                kernels.tile[std::min<int64_t>(plan.rows, p.in_channels - i)]
                            [std::min(at.tile_lanes, wide.row - j) / at.lanes](tile);
              }
      }
    }
  });

  // Add the segments in order; rows of kernels are already rows.
  parallel_for(p.groups * p.in_channels, plan.most_threads, [&](int64_t task, int) {
    const int64_t group = task / p.in_channels, i = task % p.in_channels;
    S* out = gradient + task * p.out_channels * at.kernel_cells;
    std::vector<T> made(static_cast<size_t>(storage.narrow ? p.kernel[2] : 0));
    for (int64_t o = 0; o < p.out_channels; ++o)
      for (int64_t r = 0; r < p.kernel[0] * p.kernel[1]; ++r, out += p.kernel[2]) {
        const T* from = partial.template as<T>() + (group * p.out_channels + o) * wide.channel + (r * p.in_channels + i) * wide.row;
        T* total = storage.row(out, made.data());
        std::copy_n(from, p.kernel[2], total);
        for (int64_t s = 1; s < segments; ++s) {
          from += p.groups * p.out_channels * wide.channel;
          for (int64_t k = 0; k < p.kernel[2]; ++k) total[k] += from[k];
        }
        storage.store(total, p.kernel[2], out);
      }
  });
}

template void run_wide_gradient(const Plan&, const Layout&, int64_t, const float*, const float*, float*);
template void run_wide_gradient(const Plan&, const Layout&, int64_t, const double*, const double*, double*);
template void run_wide_gradient(const Plan&, const Layout&, int64_t, const Half*, const Half*, Half*);
template void run_wide_gradient(const Plan&, const Layout&, int64_t, const Brain*, const Brain*, Brain*);

}  // namespace tconv
