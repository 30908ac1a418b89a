#include "winograd.hpp"

#include <algorithm>

#include "setup.hpp"
#include "storage.hpp"
#include "table.hpp"
#include "threads.hpp"
#include "workers.hpp"

namespace tconv {
namespace {

constexpr int64_t kTile = 3, kWindow = 4, kPoints = 4;  // F(3, 2) along one axis
constexpr int kDepth = 16;  // source channels whose weights are transformed together

// A row of numbers, one per source channel.
template <class T> struct Row {
  T number[kDepth];
};

// Transforms the two taps of a phase, in the order of the window, the far one first, for the four products: G
// g, with halves for the points 1 and -1. A null tap is past the kernel's end.
template <class T> void transform_taps(const Row<T>* far, const Row<T>* near, int64_t step, Row<T>* to) {
  static constexpr Row<T> none{};
  if (!far) far = &none;
  if (!near) near = &none;
  for (int i = 0; i < kDepth; ++i) {
    const T one = far->number[i], other = near->number[i];
    to[0].number[i] = one;
    to[step].number[i] = (one + other) / 2;
    to[2 * step].number[i] = (other - one) / 2;
    to[3 * step].number[i] = other;
  }
}

}  // namespace

Winograd make_winograd(const Plan& plan) {
  const Problem& p = plan.problem;
  const WinogradPlan& part = std::get<WinogradPlan>(plan.part);
  const Triple& box = part.tiles;
  Winograd out{};
  out.y = make_lattice(plan, 1, Window::aligned);
  out.x = make_lattice(plan, 2, Window::aligned);
  out.tall = p.kernel[1] > 1;
  out.first_y = floor_div(p.lo[1], p.stride[1]);
  out.first_x = floor_div(p.lo[2], p.stride[2]);
  out.tile_rows = out.tall ? kTile : 1;
  out.source_rows = out.tall ? kWindow : 1;
  out.frequencies = out.tall ? kPoints * kPoints : kPoints;
  out.phases = p.stride[1] * p.stride[2];
  out.tiles[0] = p.batch;
  out.tiles[1] = ceil_div(out.y.cells, out.tile_rows);
  out.tiles[2] = ceil_div(out.x.cells, kTile);
  for (size_t i = 0; i < 3; ++i) out.boxes[i] = ceil_div(out.tiles[i], box[i]);

  const auto one_tap = [&](int axis, int64_t phase) { return phase + p.stride[axis] >= p.kernel[axis]; };
  for (int64_t f = 0; f < out.frequencies; ++f) {
    std::vector<int64_t> active, place(static_cast<size_t>(out.phases), -1);
    for (int64_t r = 0; r < out.phases; ++r) {
      const int64_t ry = r / p.stride[2], rx = r % p.stride[2];
      const bool zero =
          (f % kPoints == 0 && one_tap(2, rx)) || (out.tall && f / kPoints == 0 && one_tap(1, ry));
      if (zero) continue;
      place[static_cast<size_t>(r)] = static_cast<int64_t>(active.size());
      active.push_back(r);
    }
    out.before.push_back(out.products);
    out.products += static_cast<int64_t>(active.size());
    out.active.push_back(std::move(active));
    out.place.push_back(std::move(place));
  }

  out.lanes = lanes_of(plan);
  out.pitch = round_up(box[0] * box[1] * box[2], out.lanes);
  out.chunks = ceil_div(p.out_channels, part.channels);
  out.inputs = out.frequencies * p.in_channels * out.pitch;
  out.sums = out.products * std::min(part.channels, p.out_channels) * out.pitch;
  out.source = make_side(plan, p.in_channels, p.input[1] * p.input[2]);
  out.target = make_side(plan, p.out_channels, p.output[1] * p.output[2]);
  out.block = plan.last() ? out.lanes : 1;
  out.reach = kTile * box[2] + 1;
  out.lines = out.block * (out.source_rows * kWindow * out.pitch + out.reach);
  // Sums of all output rows of a tile, and a row of zeros for the products that are omitted.
  out.stored = (out.block * out.tile_rows * p.stride[1] * kTile * p.stride[2] + 1) * out.pitch;
  if (out.target.position > 1) out.turned = kTile * p.stride[2] * out.pitch * out.block;
  if (source_size(plan) < sums_size(plan)) out.made = std::max(box[2] * kTile * p.stride[2], out.block);
  return out;
}

namespace {

// [group][chunk of target channels][frequency][block of rows][source channel][row of the block], a row being
// a target channel with one active phase.
template <class S> void pack(const Setup& setup, const S* weight, void* packed) {
  using T = typename Storage<S>::T;
  const Plan& plan = setup.plan;
  const WinogradPlan& part = std::get<WinogradPlan>(plan.part);
  const Winograd& at = setup.winograd;
  const Problem& p = plan.problem;
  const int64_t cells = p.kernel[1] * p.kernel[2], depth = p.in_channels, blocks = ceil_div(depth, kDepth);
  parallel_for(p.groups * at.chunks * blocks, plan.most_threads, [&](int64_t task, int) {
    const int64_t group = task / blocks / at.chunks, first = task / blocks % at.chunks * part.channels;
    const int64_t begin = task % blocks * kDepth, end = std::min(begin + kDepth, depth);
    const int64_t count = std::min(part.channels, p.out_channels - first);
    T* chunk = static_cast<T*>(packed) + (group * p.out_channels + first) * depth * at.products;
    std::vector<Row<T>> kernel(static_cast<size_t>(cells));
    Row<T> half[2][kPoints], full[kPoints * kPoints];
    for (int64_t c = 0; c < count; ++c) {
      for (int64_t d = begin; d < end; ++d) {
        const S* from = weight + ((group * depth + d) * p.out_channels + first + c) * cells;
        for (int64_t k = 0; k < cells; ++k)
          kernel[static_cast<size_t>(k)].number[d - begin] = Storage<S>::number(from[k]);
      }
      const auto tap = [&](int64_t ky, int64_t kx) {
        return ky < p.kernel[1] && kx < p.kernel[2] ? &kernel[static_cast<size_t>(ky * p.kernel[2] + kx)]
                                                    : nullptr;
      };
      for (int64_t r = 0; r < at.phases; ++r) {
        const int64_t ry = r / p.stride[2], rx = r % p.stride[2];
        if (at.tall) {
          for (int64_t j = 0; j < 2; ++j) {  // j: the window's far and near row
            const int64_t ky = ry + p.stride[1] * (1 - j);
            transform_taps(tap(ky, rx + p.stride[2]), tap(ky, rx), 1, half[j]);
          }
          for (int64_t x = 0; x < kPoints; ++x) transform_taps(&half[0][x], &half[1][x], kPoints, full + x);
        } else {
          transform_taps(tap(0, rx + p.stride[2]), tap(0, rx), 1, full);
        }
        for (int64_t f = 0; f < at.frequencies; ++f) {
          const int64_t place = at.place[static_cast<size_t>(f)][static_cast<size_t>(r)];
          if (place < 0) continue;
          const int64_t active = static_cast<int64_t>(at.active[static_cast<size_t>(f)].size()),
                        rows = count * active;
          const int64_t row = c * active + place, block = row / part.rows * part.rows;
          const int64_t step = std::min<int64_t>(part.rows, rows - block);
          T* to = chunk + (at.before[static_cast<size_t>(f)] * count + block) * depth + begin * step + row -
                  block;
          for (int64_t d = 0; d < end - begin; ++d) to[d * step] = full[f].number[d];
        }
      }
    }
  });
}

template <class S>
void run(const Setup& setup, const S* source, const void* packed, const S* given_bias, S* target) {
  using T = typename Storage<S>::T;
  const Plan& plan = setup.plan;
  const WinogradPlan& part = std::get<WinogradPlan>(plan.part);
  const Winograd& at = setup.winograd;
  const Problem& p = plan.problem;
  const ActivationOf<T> activation = activation_of<T>(plan);
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  const WideBias<S> wide_bias(storage, given_bias, p.groups * p.out_channels);
  const T* bias = wide_bias.numbers;
  const int64_t depth = p.in_channels;
  const int64_t boxes = at.boxes[0] * at.boxes[1] * at.boxes[2], step = part.vectors * at.lanes;
  Workers workers(plan.most_threads);

  parallel_for(p.groups * boxes * at.chunks, workers.threads(), [&](int64_t task, int index) {
    Worker& worker = workers[index];  // holds: which box of which group is transformed
    T* inputs = worker.template memory<T>(static_cast<size_t>(setup.workspace));
    T *sums = inputs + at.inputs, *lines = sums + at.sums, *staged = lines + at.lines - at.block * at.reach;
    T *stored = lines + at.lines, *turned = stored + at.stored, *zeros = turned - at.pitch,
      *made = turned + at.turned;
    if (worker.fresh()) {
      std::fill(lines, stored, T(0));  // cells past the last tile are computed, too: avoid denormals there
      std::fill_n(zeros, at.pitch, T(0));
    }

    const int64_t group = task / at.chunks / boxes, b = task / at.chunks % boxes;
    const int64_t n0 = b / at.boxes[2] / at.boxes[1] * part.tiles[0],
                  y0 = b / at.boxes[2] % at.boxes[1] * part.tiles[1];
    const int64_t x0 = b % at.boxes[2] * part.tiles[2];
    const int64_t batch = std::min(part.tiles[0], at.tiles[0] - n0),
                  rows = std::min(part.tiles[1], at.tiles[1] - y0);
    const int64_t width = std::min(part.tiles[2], at.tiles[2] - x0), tiles = batch * rows * width;

    if (worker.holds != task / at.chunks) {
      worker.holds = task / at.chunks;
      const int64_t left = x0 * kTile + at.first_x - 1, reach = width * kTile + 1;
      const int64_t begin = std::clamp<int64_t>(-left, 0, reach),
                    end = std::clamp<int64_t>(p.input[2] - left, begin, reach);
      for (int64_t j = 0; j < at.block; ++j) {
        std::fill(staged + j * at.reach, staged + j * at.reach + begin, T(0));
        std::fill(staged + j * at.reach + end, staged + j * at.reach + reach, T(0));
      }
      const int64_t window = at.source_rows * kWindow * at.pitch;  // of one channel
      for (int64_t d = 0; d < depth; d += at.block) {
        const int64_t channels = std::min(at.block, depth - d);
        for (int64_t n = 0; n < batch; ++n)
          for (int64_t ty = 0; ty < rows; ++ty)
            for (int64_t r = 0; r < at.source_rows; ++r) {
              const int64_t sy = (y0 + ty) * at.tile_rows + at.first_y - at.tall + r;
              T* line = lines + r * kWindow * at.pitch + (n * rows + ty) * width;
              if (sy < 0 || sy >= p.input[1]) {
                for (int64_t j = 0; j < channels; ++j)
                  for (int64_t i = 0; i < kWindow; ++i)
                    std::fill_n(line + j * window + i * at.pitch, width, T(0));
              } else {
                const S* row =
                    source + (n0 + n) * at.source.batch + group * at.source.group + d * at.source.channel;
                storage.transpose(kernels, row + (sy * p.input[2] + left + begin) * at.source.position,
                                  at.source.position, at.source.channel, channels, end - begin,
                                  staged + begin, at.reach);
                for (int64_t j = 0; j < channels; ++j)
                  kernels.winograd.deal(staged + j * at.reach, width, line + j * window, at.pitch);
              }
            }
        for (int64_t j = 0; j < channels; ++j)
          kernels.winograd.input(lines + j * window, at.tall, at.pitch, tiles, inputs + (d + j) * at.pitch,
                                 depth * at.pitch);
      }
    }

    const int64_t first = task % at.chunks * part.channels,
                  count = std::min(part.channels, p.out_channels - first);
    const T* chunk = static_cast<const T*>(packed) + (group * p.out_channels + first) * depth * at.products;
    static constexpr int64_t kNoOffset = 0;
    TileArgs<T> tile{};
    tile.taps = 1, tile.offsets = &kNoOffset, tile.steps = depth;
    tile.b_step = tile.c_stride = at.pitch;
    for (int64_t f = 0; f < at.frequencies; ++f) {
      const int64_t before = at.before[static_cast<size_t>(f)] * count;
      const int64_t height = static_cast<int64_t>(at.active[static_cast<size_t>(f)].size()) * count;
      for (int64_t i = 0; i < height; i += part.rows) {
        tile.a_step = std::min<int64_t>(part.rows, height - i);
        tile.a = chunk + (before + i) * depth;
        for (int64_t j = 0; j < tiles; j += step) {
          tile.b = inputs + f * depth * at.pitch + j;
          tile.c = sums + (before + i) * at.pitch + j;
          kernels.tile[tile.a_step][ceil_div(std::min(step, tiles - j), at.lanes)](tile);
        }
      }
    }

    // Outputs of a tile along x: three cells with all phases; the same along y, or one row.
    const int64_t wide = kTile * p.stride[2], high = at.tile_rows * p.stride[1];
    const int64_t left = x0 * wide - at.x.target_lo, skip = std::max<int64_t>(-left, 0);
    const int64_t length = std::min(width * wide, p.output[2] - left) - skip;
    if (length <= 0) return;
    const bool last = at.target.position > 1;
    for (int64_t c0 = 0; c0 < count; c0 += at.block) {
      const int64_t channels = std::min(at.block, count - c0), stored_channel = high * wide * at.pitch;
      for (int64_t i = 0; i < channels * at.phases; ++i) {
        const int64_t c = c0 + i / at.phases, r = i % at.phases;
        const T* products[kPoints * kPoints];
        for (int64_t f = 0; f < at.frequencies; ++f) {
          const int64_t place = at.place[static_cast<size_t>(f)][static_cast<size_t>(r)];
          const int64_t active = static_cast<int64_t>(at.active[static_cast<size_t>(f)].size());
          products[f] =
              place < 0 ? zeros
                        : sums + (at.before[static_cast<size_t>(f)] * count + c * active + place) * at.pitch;
        }
        const int64_t ry = r / p.stride[2], rx = r % p.stride[2];
        kernels.winograd.output(products, at.tall, tiles,
                                stored + (c - c0) * stored_channel + (ry * wide + rx) * at.pitch,
                                p.stride[1] * wide * at.pitch, p.stride[2] * at.pitch);
      }
      const int64_t channel = group * p.out_channels + first + c0;
      for (int64_t h = 0; last && h < high; ++h) {
        for (int64_t x = 0; x < wide; ++x)
          kernels.transpose(stored + (h * wide + x) * at.pitch, stored_channel, 1, tiles, channels,
                            turned + x * at.pitch * channels, channels);
        for (int64_t row = 0; row < batch * rows; ++row) {
          const int64_t oy = (y0 + row % rows) * high + h - at.y.target_lo;
          if (oy < 0 || oy >= p.output[1]) continue;
          S* out =
              target + (n0 + row / rows) * at.target.batch + oy * p.output[2] * at.target.position + channel;
          for (int64_t x = 0; x < wide; ++x) {
            const int64_t begin = std::max<int64_t>(0, -floor_div(left + x, wide));
            const int64_t end = std::min(width, floor_div(p.output[2] - 1 - left - x, wide) + 1);
            if (begin < end)
              storage.finish_cells(kernels, activation.from(channel),
                                   turned + (x * at.pitch + row * width + begin) * channels, channels,
                                   end - begin, channels, bias ? bias + channel : nullptr,
                                   out + (left + x + begin * wide) * at.target.position,
                                   wide * at.target.position, made, at.made);
          }
        }
      }
      for (int64_t n = 0; !last && n < batch; ++n) {
        S* plane = target + (n0 + n) * at.target.batch + channel * at.target.channel;
        for (int64_t ty = 0; ty < rows; ++ty)
          for (int64_t h = 0; h < high; ++h) {
            const int64_t oy = (y0 + ty) * high + h - at.y.target_lo;
            if (oy < 0 || oy >= p.output[1]) continue;
            S* out = plane + oy * p.output[2] + left + skip;
            T* row = storage.row(out, made);
            kernels.interleave({stored + h * wide * at.pitch + (n * rows + ty) * width, at.pitch, wide, width,
                                skip, length, bias ? bias[channel] : T(0), row, activation.of(channel)});
            storage.store(row, length, out);
          }
      }
    }
  });
}

}  // namespace

int64_t winograd_packed(const Setup& setup) {
  const Problem& p = setup.plan.problem;
  return p.groups * p.in_channels * p.out_channels * setup.winograd.products * sums_size(setup.plan);
}

int64_t winograd_workspace(const Setup& setup) {
  const Winograd& at = setup.winograd;
  return (at.inputs + at.sums + at.lines + at.stored + at.turned + at.made) * sums_size(setup.plan);
}

void pack_winograd(const Setup& setup, const void* weight, void* packed) {
  with_storage(setup.plan.operands.weight,
               [&](auto type) { pack(setup, static_cast<const decltype(type)*>(weight), packed); });
}

void run_winograd(const Setup& setup, const Arrays& arrays) {
  with_storage(setup.plan.operands.source, [&](auto type) {
    using S = decltype(type);
    run(setup, static_cast<const S*>(arrays.source), arrays.packed, static_cast<const S*>(arrays.bias),
        static_cast<S*>(arrays.target));
  });
}

}  // namespace tconv
