// The products of `col2im`, and the packing of its weights.
#include <algorithm>
#include <vector>

#include "col2im_task.hpp"
#include "threads.hpp"

namespace tconv {
namespace {

// Copies `channels` of the source, `count` positions each, and widens them.
template <class S>
void stage(const Col2imRun<S>& run, const S* from, int64_t channels, int64_t count,
           typename Storage<S>::T* to, int64_t pitch) {
  const Side& side = run.at.source;
  if (side.position > 1)
    return run.storage.transpose(run.kernels, from, side.position, 1, channels, count, to, pitch);
  for (int64_t c = 0; c < channels; ++c)
    run.storage.gather(run.kernels, from + c * side.channel, 1, count, to + c * pitch);
}

constexpr int64_t kNoOffset = 0;

// Lanes over positions: weights are [piece of the depth][row tile][source channel][row], as they are read.
template <class S>
void multiply_positions(const Col2imRun<S>& run, const Col2imTask<S>& task,
                        const typename Storage<S>::T* weights, const S* source, int64_t count,
                        typename Storage<S>::T* products) {
  using T = typename Storage<S>::T;
  const Col2im& at = run.at;
  const int64_t all = run.plan.problem.in_channels, rows = task.channels * at.kernel;
  for (int64_t d = 0; d < all; d += run.part.depth) {
    const int64_t depth = std::min(run.part.depth, all - d);
    const S* from = source + d * at.source.channel;
    TileArgs<T> tile{};
    tile.offsets = &kNoOffset, tile.taps = 1, tile.steps = depth;
    tile.c = products, tile.c_stride = at.columns, tile.accumulate = d > 0;
    tile.ahead = run.part.prefetch / static_cast<int64_t>(sizeof(T));
    const auto run_tiles = [&](const T* b, int64_t b_step, int64_t first, int64_t columns) {
      TileArgs<T> own = tile;
      own.b = b, own.b_step = b_step, own.c += first;
      const int64_t width = run.part.vectors * at.lanes;
      for (int64_t j = 0; j < columns; j += width)
        for (int64_t i = 0; i < rows; i += run.part.rows) {
          TileArgs<T> one = own;
          const int64_t height = std::min<int64_t>(run.part.rows, rows - i);
          one.a = weights + d * rows + i * depth, one.a_step = height;
          one.b += j, one.c += i * at.columns + j;
          run.kernels.tile[height][ceil_div(std::min(width, columns - j), at.lanes)](one);
        }
    };
    if constexpr (std::is_same_v<S, T>) {
      if (!at.staged) {
        // Past the last position vectors read what follows, within the array.
        const int64_t reach = from - run.source + (depth - 1) * at.source.channel + round_up(count, at.lanes);
        const int64_t whole = reach <= at.source_size ? count : count / at.lanes * at.lanes;
        if (whole) run_tiles(from, at.source.channel, 0, whole);
        if (whole < count) {
          std::fill_n(task.stage, depth * at.lanes, T(0));
          for (int64_t c = 0; c < depth; ++c)
            std::copy_n(from + c * at.source.channel + whole, count - whole, task.stage + c * at.lanes);
          run_tiles(task.stage, at.lanes, whole, count - whole);
        }
        continue;
      }
    }
    stage(run, from, depth, count, task.stage, at.columns);
    run_tiles(task.stage, at.columns, 0, count);
  }
}

// Lanes over taps: the weights of a tile are [source channel][column], and the source is read number by
// number.
template <class S>
void multiply_taps(const Col2imRun<S>& run, const Col2imTask<S>& task, const typename Storage<S>::T* weights,
                   const S* source, int64_t count) {
  using T = typename Storage<S>::T;
  const Col2im& at = run.at;
  const int64_t depth = run.plan.problem.in_channels, columns = round_up(task.channels * at.kernel, at.lanes),
                width = run.part.vectors * at.lanes, own_stage = depth * run.part.positions;
  const T* first = task.stage;
  int64_t step = count, item_step = own_stage;
  if (at.staged) {
    for (int64_t item = 0; item < task.items; ++item)
      stage(run, source + item * at.source.batch, depth, count, task.stage + item * own_stage, count);
  } else if constexpr (std::is_same_v<S, T>) {
    first = source, step = at.source.channel, item_step = at.source.batch;
  }
  TileArgs<T> tile{};
  tile.offsets = &kNoOffset, tile.taps = 1, tile.steps = depth;
  tile.a_step = step, tile.c_stride = at.columns;
  for (int64_t j = 0; j < columns; j += width) {
    const int64_t lanes = std::min(width, columns - j);
    tile.b = weights + j * depth, tile.b_step = lanes;
    for (int64_t item = 0; item < task.items; ++item)
      for (int64_t i = 0; i < count; i += run.part.rows) {
        tile.a = first + item * item_step + i;
        tile.c = task.products + (item * run.part.positions + i) * at.columns + j;
        run.kernels.tile[std::min<int64_t>(run.part.rows, count - i)][lanes / at.lanes](tile);
      }
  }
}

}  // namespace

template <class S>
void multiply_piece(const Col2imRun<S>& run, const Col2imTask<S>& task, const Piece& piece) {
  const Col2im& at = run.at;
  const S* source = run.source + task.batch * at.source.batch + task.group * at.source.group +
                    (piece.row * run.plan.problem.input[2] + piece.x) * at.source.position;
  const auto* weights =
      run.packed + (task.group * at.chunks + task.first / run.part.channels) * at.packed_chunk;
  if (run.part.lanes == Col2imLanes::taps) multiply_taps(run, task, weights, source, piece.count());
  else
    for (int64_t item = 0; item < task.items; ++item)
      multiply_positions(run, task, weights, source + item * at.source.batch, piece.count(),
                         task.products + item * run.part.channels * at.kernel * at.columns);
}

template void multiply_piece(const Col2imRun<float>&, const Col2imTask<float>&, const Piece&);
template void multiply_piece(const Col2imRun<double>&, const Col2imTask<double>&, const Piece&);
template void multiply_piece(const Col2imRun<Half>&, const Col2imTask<Half>&, const Piece&);
template void multiply_piece(const Col2imRun<Brain>&, const Col2imTask<Brain>&, const Piece&);

int64_t col2im_packed(const Setup& setup) {
  return setup.plan.problem.groups * setup.col2im.chunks * setup.col2im.packed_chunk * sums_size(setup.plan);
}

// [group][chunk][piece of the depth][tile][source channel][row of the tile], or column; rows are
// [channel][kernel element], columns [kernel element][channel], padded with zeros.
void pack_col2im(const Setup& setup, const void* weight, void* packed) {
  const Plan& plan = setup.plan;
  const Col2imPlan& part = std::get<Col2imPlan>(plan.part);
  const Col2im& at = setup.col2im;
  const Problem& p = plan.problem;
  constexpr int64_t kChannels = 64;
  const int64_t pieces = ceil_div(p.in_channels, kChannels);
  with_storage(plan.operands.weight, [&](auto type) {
    using S = decltype(type);
    using T = typename Storage<S>::T;
    parallel_for(p.groups * at.chunks * pieces, plan.most_threads, [&](int64_t task, int) {
      const int64_t group = task / pieces / at.chunks, chunk = task / pieces % at.chunks;
      const int64_t first = chunk * part.channels, channels = std::min(part.channels, p.out_channels - first);
      const int64_t begin = task % pieces * kChannels, end = std::min(begin + kChannels, p.in_channels);
      const bool taps = part.lanes == Col2imLanes::taps;
      const int64_t rows = channels * at.kernel, all = taps ? round_up(rows, at.lanes) : rows;
      const int64_t most = taps ? part.vectors * at.lanes : part.rows;
      const int64_t most_depth = taps ? p.in_channels : part.depth;
      std::vector<int64_t> places;  // of a row's weight among those of a source channel
      for (int64_t row = 0; row < rows; ++row)
        places.push_back(taps ? row % channels * at.kernel + row / channels : row);
      T* to = static_cast<T*>(packed) + (group * at.chunks + chunk) * at.packed_chunk;
      const S* from =
          static_cast<const S*>(weight) + (group * p.in_channels * p.out_channels + first) * at.kernel;
      for (int64_t tile = 0; tile < all; tile += most) {
        const int64_t width = std::min(most, all - tile), some = std::min(width, rows - tile);
        for (int64_t d = begin; d < end; ++d) {
          const S* own = from + d * p.out_channels * at.kernel;
          const int64_t piece = d / most_depth * most_depth,
                        depth = std::min(most_depth, p.in_channels - piece);
          T* row = to + piece * all + tile * depth + (d - piece) * width;
          for (int64_t r = 0; r < some; ++r)
            row[r] = Storage<S>::number(own[places[static_cast<size_t>(tile + r)]]);
          std::fill(row + some, row + width, T(0));
        }
      }
    });
  });
}

}  // namespace tconv
