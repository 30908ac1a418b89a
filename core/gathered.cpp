// The convolution of small maps as dot products along rows of weights, which are read in place: for each
// position of x, all channels and kernel elements of y are copied in the order of the weights. Where weights
// are many and positions few, packing weights would take longer than the products.
#include <vector>

#include "dots.hpp"
#include "gradient.hpp"
#include "storage.hpp"
#include "workers.hpp"

namespace tconv {
namespace {

// Numbers of one position: of all channels of y and all kernel elements.
int64_t length_of(const Layout& at) { return at.source_channels * at.kernel_cells; }

// From one position to the next: a multiple of 4 KiB would put them into the same few cache lines of L1.
int64_t pitch_of(const Layout& at) {
  const int64_t length = length_of(at);
  return length * at.size % 4096 == 0 ? length + at.lanes : length;
}

// Copies what position (z, y, x) of x reads of one batch item, with zeros outside of y.
template <class T>
void gather_position(const Problem& p, const Layout& at, const KernelSet<T>& kernels, const T* item,
                     const int64_t (&cell)[3], T* to) {
  const int64_t step = p.dilation[2], left = cell[2] * p.stride[2] - p.lo[2];
  // Elements of a kernel's row whose position is inside of y.
  const int64_t begin = std::clamp<int64_t>(ceil_div(std::max<int64_t>(-left, 0), step), 0, p.kernel[2]);
  const int64_t past = std::max<int64_t>(p.output[2] - left, 0);
  const int64_t end = std::clamp<int64_t>(ceil_div(past, step), begin, p.kernel[2]);
  for (int64_t kz = 0; kz < p.kernel[0]; ++kz)
    for (int64_t ky = 0; ky < p.kernel[1]; ++ky) {
      const int64_t z = cell[0] * p.stride[0] - p.lo[0] + kz * p.dilation[0];
      const int64_t y = cell[1] * p.stride[1] - p.lo[1] + ky * p.dilation[1];
      const bool inside = z >= 0 && z < p.output[0] && y >= 0 && y < p.output[1] && begin < end;
      T* row = to + (kz * p.kernel[1] + ky) * p.kernel[2];
      for (int64_t o = 0; o < at.source_channels; ++o, row += at.kernel_cells) {
        if (!inside) {
          std::fill_n(row, p.kernel[2], T(0));
          continue;
        }
        const int64_t from = (z * p.output[1] + y) * p.output[2] + left + begin * step;
        std::fill(row, row + begin, T(0));
        kernels.gather(item + o * at.source.channel + from * at.source.position, step * at.source.position,
                       end - begin, row + begin);
        std::fill(row + end, row + p.kernel[2], T(0));
      }
    }
}

template <class T> void convolve(const Setup& setup, const T* y, const T* weight, const T* bias, T* x) {
  const Plan& plan = setup.plan;
  const DotsPlan& part = std::get<DotsPlan>(plan.part);
  const Layout& at = setup.layout;
  const Problem& p = plan.problem;
  const ActivationOf<T> activation = activation_of<T>(plan);
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const int64_t length = length_of(at), pitch = pitch_of(at), boxes = at.box_count(),
                chunks = ceil_div(at.target_channels, part.x_channels);
  const int64_t most = round_up(ceil_div(length, plan.segments), at.lanes);  // of a sum, which stays in L1

  Workers workers(plan.most_threads);
  parallel_for(p.groups * boxes * chunks, workers.threads(), [&](int64_t task, int index) {
    Worker& worker = workers[index];  // holds: which box of which group is in the panel
    T* panel = worker.template memory<T>(static_cast<size_t>(setup.workspace));
    const int64_t group = task / chunks / boxes, first = task % chunks * part.x_channels;
    const int64_t count = std::min(part.x_channels, at.target_channels - first);
    const Box box = box_at(at, task / chunks % boxes);
    const bool held = worker.holds == task / chunks;
    std::vector<int64_t> columns, places;
    for (int64_t n = 0; n < box.size[0]; ++n)
      for (int64_t cz = 0; cz < box.size[1]; ++cz)
        for (int64_t cy = 0; cy < box.size[2]; ++cy)
          for (int64_t cx = 0; cx < box.size[3]; ++cx) {
            const int64_t cell[3] = {box.begin[1] + cz, box.begin[2] + cy, box.begin[3] + cx};
            const int64_t column = static_cast<int64_t>(columns.size()) * pitch;
            columns.push_back(column);
            places.push_back(n * at.target.batch +
                             ((cell[0] * p.input[1] + cell[1]) * p.input[2] + cell[2]) * at.target.position);
            if (!held)
              gather_position(p, at, kernels,
                              y + (box.begin[0] + n) * at.source.batch + group * at.source.group, cell,
                              panel + column);
          }
    worker.holds = task / chunks;

    static constexpr int64_t kNoOffset = 0;
    T* target = x + box.begin[0] * at.target.batch + group * at.target.group + first * at.target.channel;
    DotArgs<T> dots{};
    dots.a_row = length;
    dots.columns = columns.data(), dots.places = places.data();
    dots.offsets = &kNoOffset, dots.taps = 1;
    dots.c = target, dots.c_stride = at.target.channel;
    for (int64_t begin = 0; begin < length; begin += most) {
      dots.a = weight + (group * at.target_channels + first) * length + begin;
      dots.b = panel + begin;
      dots.steps = std::min(most, length - begin) / at.lanes;
      dots.accumulate = begin > 0;
      run_tiles(part, kernels, dots, count, static_cast<int64_t>(columns.size()));
    }
    const int64_t channel = group * at.target_channels + first;
    finish_positions(setup, kernels, activation.from(channel), bias ? bias + channel : nullptr, count, places,
                     box.size[3], target);
  });
}

}  // namespace

int64_t gathered_conv_workspace(const Setup& setup) {
  const Cells& box = setup.layout.box;
  return box[0] * box[1] * box[2] * box[3] * pitch_of(setup.layout) * setup.layout.size;
}

void run_gathered_conv(const Setup& setup, const Arrays& arrays) {
  with_real(setup.plan.operands.source, [&](auto type) {
    using T = decltype(type);
    convolve(setup, static_cast<const T*>(arrays.source), static_cast<const T*>(arrays.weight),
             static_cast<const T*>(arrays.bias), static_cast<T*>(arrays.target));
  });
}

}  // namespace tconv
