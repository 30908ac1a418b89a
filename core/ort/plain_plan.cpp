// A plan where no Python is: `phases` in vectors, by four rules of thumb and no estimate. Everything else is
// chosen by src/tconv/planning. A file says nothing about plans, since the engine trusts them.
#include <algorithm>
#include <numeric>

#include "../lattice.hpp"
#include "../run.hpp"
#include "../table.hpp"
#include "planner.hpp"

namespace tconv::ort {
namespace {

constexpr int64_t kPanel = 384 << 10;    // bytes of a panel and of the sums of a task, in the near cache
constexpr int64_t kWorkspace = 8 << 20;  // bytes of a thread, at most
constexpr int64_t kNear = 1 << 20;       // bytes of packed weights, above which they are prefetched
constexpr int64_t kTasks = 12;           // so that threads of uneven speed finish together
constexpr int64_t kThread = 12'000;      // cycles for which one more thread is woken

struct Tile {
  int rows, vectors;
};

// The tile with the most products for each number loaded, counting rows that are computed and discarded.
template <class T> Tile best_tile(const KernelSet<T>& kernels, int64_t rows) {
  Tile best{};
  double most = 0;
  for (int vectors = 1; vectors <= KernelSet<T>::kMaxVectors; ++vectors) {
    int highest = 0;
    for (int height = 1; height <= KernelSet<T>::kMaxRows; ++height)
      if (kernels.tile[height][vectors]) highest = height;
    if (!highest) continue;
    const int64_t pieces = ceil_div(rows, highest), height = ceil_div(rows, pieces);
    const double used = static_cast<double>(rows) / static_cast<double>(pieces * height);
    const double sums = static_cast<double>(height) * vectors;
    const double worth = used * sums / std::max({sums, static_cast<double>(height) + 1.5 * vectors, 8.0});
    if (worth > most) most = worth, best = {static_cast<int>(height), vectors};
  }
  return best;
}

Tile best_tile(const Plan& plan, int64_t rows) {
  return plan.operands.sums == DType::f64 ? best_tile(kernels_for<double>(plan.isa), rows)
                                          : best_tile(kernels_for<float>(plan.isa), rows);
}

bool phases_alike(const Problem& p) {
  int64_t phases = 1;
  for (size_t a = 0; a < 3; ++a) {
    if (p.dilation[a] != 1 || p.kernel[a] % p.stride[a]) return false;
    phases *= p.stride[a];
  }
  return phases > 1;
}

// As many whole rows, planes and items as give `most` positions, in even pieces; else a part of one row.
Cells box_of(const Cells& extents, int64_t most) {
  Cells box = {1, 1, 1, 1};
  for (size_t a = 4; a-- > 0;) {
    const int64_t pieces = ceil_div(extents[a], std::max<int64_t>(1, std::min(extents[a], most)));
    box[a] = ceil_div(extents[a], pieces);
    if (box[a] < extents[a]) break;
    most /= box[a];
  }
  return box;
}

}  // namespace

Plan plain_plan(const Layer& layer, const Sized& sized, DType dtype) {
  Plan plan{};
  Problem& p = plan.problem;
  p = {sized.batch,
       sized.groups,
       sized.in_channels / sized.groups,
       sized.out_channels / sized.groups,
       sized.input,
       sized.output,
       sized.kernel,
       sized.stride,
       sized.dilation,
       sized.lo};
  for (size_t a = 0; a < 3; ++a)  // over a single input a stride has no effect
    if (p.input[a] == 1 && p.dilation[a] == 1) p.stride[a] = p.kernel[a];
  plan.map = Map::conv_transpose;
  plan.layout = ArrayLayout::channels_first;
  plan.operands = {dtype, dtype, dtype == DType::f64 ? DType::f64 : DType::f32, dtype};
  plan.epilogue = {Scale::none, dtype, layer.activation, layer.numbers, Rounding::nearest_even};
  plan.isa = isa_kernels().front().isa;
  plan.segments = 1;
  plan.most_threads = 1;
  if (!p.batch) return plan;

  const int64_t size = sums_size(plan), phases = p.stride[0] * p.stride[1] * p.stride[2];
  const bool stacked = phases_alike(p) && p.out_channels < 32;
  const int64_t deep = stacked ? phases : 1, rows = p.out_channels * deep;
  const Tile tile = best_tile(plan, rows);
  const int64_t unit = tile.rows / std::gcd<int64_t>(tile.rows, deep);  // channels stored together
  const int64_t kept =
      stacked ? std::max<int64_t>(tile.rows, std::min(unit, p.out_channels) * deep) : tile.rows * phases;
  Cells extents = {p.batch, 0, 0, 0};
  for (int a = 0; a < 3; ++a)
    extents[static_cast<size_t>(a) + 1] = make_lattice(plan, a, stacked ? Window::shared : Window::own).cells;

  const int64_t units = ceil_div(p.out_channels, unit);
  const auto made = [&](int64_t most) {
    const Cells box = box_of(extents, most);
    int64_t boxes = p.groups, positions = 1;
    for (size_t a = 0; a < 4; ++a) boxes *= ceil_div(extents[a], box[a]), positions *= box[a];
    int64_t channels = ceil_div(units, std::min(units, ceil_div(kTasks, boxes))) * unit;
    if (stacked) {
      const int64_t fits = kPanel / (positions * deep * size) / unit * unit;
      channels = std::max(unit, std::min(channels, fits));
    }
    plan.part = PhasesPlan{stacked ? PhasesLanes::stacked : PhasesLanes::positions,
                           tile.rows,
                           tile.vectors,
                           0,
                           false,
                           box,
                           channels,
                           0,
                           1,
                           false,
                           p.in_channels,
                           weight_count(p) * size > kNear ? 8 << 10 : 0};
    return Runner(plan).workspace_bytes();
  };
  // Half as many positions until a task's panel and sums are near, and then until they are possible at all.
  int64_t most = std::clamp<int64_t>(kPanel / (kept * size), 64, 4096);
  int64_t bytes = made(most);
  while (most > 64 && bytes > 3 * kPanel) bytes = made(most /= 2);
  while (most > 1 && bytes > kWorkspace) bytes = made(most /= 2);
  const double cycles = static_cast<double>(weight_count(p) * p.batch) * static_cast<double>(p.input[0]) *
                        static_cast<double>(p.input[1] * p.input[2]) / (2.0 * lanes_of(plan));
  plan.most_threads = static_cast<int>(std::clamp(cycles / static_cast<double>(kThread), 1.0, 1024.0));
  return plan;
}

}  // namespace tconv::ort
