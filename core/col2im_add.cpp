// The sums of `col2im`: products are added at their places, and complete rows stored.
#include "col2im_task.hpp"
#include "col2im_walk.hpp"

namespace tconv {
namespace {

template <class S>
void add_positions(const Col2imRun<S>& run, const Col2imTask<S>& task, const Piece& piece,
                   const typename Storage<S>::T* products, typename Storage<S>::T* sums) {
  const Col2im& at = run.at;
  const Problem& p = run.plan.problem;
  each_kernel_row(
      p, piece, task.out_z, task.out_y, at.rows_y,
      [&](int64_t place, int64_t row, int64_t rows, int64_t element) {
        for (int64_t k = 0; k < p.kernel[2]; ++k) {
          const int64_t cell = piece.x + at.shift[static_cast<size_t>(k)] - task.cell;
          const Range own = within(cell, 1, piece.width, task.cells);
          if (own.begin == own.end) continue;
          for (int64_t c = 0; c < task.channels; ++c) {
            const auto* from =
                products + (c * at.kernel + element + k) * at.columns + row * piece.width + own.begin;
            auto* to = sums + place * at.row +
                       (c * p.stride[2] + at.phase[static_cast<size_t>(k)]) * at.pitch + cell + own.begin;
            run.kernels.add({from, piece.width, rows, own.end - own.begin, to, p.stride[1] * at.row});
          }
        }
      });
}

template <class S>
void collect(const Col2imRun<S>& run, const Col2imTask<S>& task, int64_t piece,
             const typename Storage<S>::T* products, typename Storage<S>::T* sums) {
  const Col2im& at = run.at;
  const auto& boxes = at.collected[static_cast<size_t>(task.box_z * at.boxes[2] + task.box_y)];
  const Collected& own = boxes[static_cast<size_t>(piece)];
  run.kernels.collect({products, at.kernel * at.columns, task.channels, sums,
                       run.plan.problem.stride[2] * at.pitch, own.vectors.data(),
                       static_cast<int64_t>(own.vectors.size()), own.terms.data(),
                       reinterpret_cast<const typename Storage<S>::T*>(at.masks.data())});
}

template <class S>
void add_taps(const Col2imRun<S>& run, const Col2imTask<S>& task, const Piece& piece,
              const typename Storage<S>::T* products, typename Storage<S>::T* sums) {
  const Col2im& at = run.at;
  const Problem& p = run.plan.problem;
  const int64_t channels = task.channels, stride = p.stride[2], outputs = task.cells * stride;
  // Adjacent elements of a kernel's row reach adjacent outputs.
  const bool joined = p.dilation[2] == 1;
  const int64_t length = joined ? p.kernel[2] : 1, apart = ceil_div(length, stride);
  each_kernel_row(
      p, piece, task.out_z, task.out_y, at.rows_y,
      [&](int64_t place, int64_t row, int64_t rows, int64_t element) {
        for (int64_t y = 0; y < rows; ++y) {
          const auto* from = products + ((row + y) * piece.width) * at.columns;
          auto* to = sums + (place + y * p.stride[1]) * at.row;
          for (int64_t k = 0; k < p.kernel[2]; k += length) {
            const int64_t first = piece.x * stride + k * p.dilation[2] - p.lo[2] - task.cell * stride;
            const auto* own = from + (element + k) * channels;
            // Positions all of whose elements are outputs of this box, and the others beside them.
            const Range some = within(first + length - 1, stride, piece.width, outputs + length - 1),
                        whole = within(first, stride, piece.width, outputs - length + 1);
            const auto clipped = [&](int64_t x) {
              const int64_t at_x = first + x * stride, begin = std::max<int64_t>(0, -at_x),
                            end = std::min(length, outputs - at_x);
              run.kernels.add({own + x * at.columns + begin * channels, 0, 1, (end - begin) * channels,
                               to + (at_x + begin) * channels, 0});
            };
            const int64_t begin = std::clamp(whole.begin, some.begin, some.end),
                          end = std::clamp(whole.end, begin, some.end);
            for (int64_t x = some.begin; x < begin; ++x) clipped(x);
            for (int64_t x = end; x < some.end; ++x) clipped(x);
            // Positions that reach no common output are added together.
            for (int64_t x = begin; x < std::min(begin + apart, end); ++x)
              run.kernels.add({own + x * at.columns, apart * at.columns, ceil_div(end - x, apart),
                               length * channels, to + (first + x * stride) * channels,
                               apart * stride * channels});
          }
        }
      });
}

// The number of outputs of a row that the task's cells hold.
template <class S> int64_t outputs_of(const Col2imRun<S>& run, const Col2imTask<S>& task) {
  const Problem& p = run.plan.problem;
  return std::min(task.cells * p.stride[2], p.output[2] - task.cell * p.stride[2]);
}

// Rows [channel][phase][cell] of sums to rows of the target.
template <class S>
void store_rows(const Col2imRun<S>& run, const Col2imTask<S>& task,
                InterleaveArgs<typename Storage<S>::T> args, int64_t length, S* to, int64_t row_step,
                typename Storage<S>::T bias) {
  using T = typename Storage<S>::T;
  args.skip = 0, args.length = length, args.bias = bias;
  if constexpr (std::is_same_v<S, T>) {  // all at once: rows are often short
    args.out = to, args.out_step = row_step;
    run.kernels.interleave(args);
  } else {
    args.out = task.line;
    const int64_t rows = args.rows;
    args.rows = 1;
    for (int64_t y = 0; y < rows; ++y, args.sums += args.sums_step) {
      run.kernels.interleave(args);
      run.storage.store(task.line, length, to + y * row_step);
    }
  }
}

}  // namespace

template <class S>
void add_piece(const Col2imRun<S>& run, const Col2imTask<S>& task, const Piece& piece, int64_t index) {
  const Col2im& at = run.at;
  const bool taps = run.part.lanes == Col2imLanes::taps;
  const int64_t item_size =
      taps ? run.part.positions * at.columns : run.part.channels * at.kernel * at.columns;
  for (int64_t item = 0; item < task.items; ++item) {
    const auto* products = task.products + item * item_size;
    auto* sums = task.sums + item * at.sums;
    if (!at.collected.empty()) collect(run, task, index, products, sums);
    else if (taps) add_taps(run, task, piece, products, sums);
    else add_positions(run, task, piece, products, sums);
  }
}

template <class S>
void finish_rows(const Col2imRun<S>& run, const Col2imTask<S>& task, const typename Storage<S>::T* sums,
                 int64_t item, int64_t z, int64_t y, int64_t rows) {
  using T = typename Storage<S>::T;
  const Col2im& at = run.at;
  const Problem& p = run.plan.problem;
  const bool taps = run.part.lanes == Col2imLanes::taps, last = at.target.position > 1;
  const int64_t length = outputs_of(run, task), channels = task.channels, stride = p.stride[2];
  const int64_t row_step = p.output[2] * at.target.position;
  S* out = run.target + (task.batch + item) * at.target.batch + task.group * at.target.group +
           task.first * at.target.channel +
           ((z * p.output[1] + y) * p.output[2] + task.cell * stride) * at.target.position;
  const int64_t first = task.group * p.out_channels + task.first;
  const T* bias = run.bias ? run.bias + first : nullptr;
  const auto bias_of = [&](int64_t c) { return bias ? bias[c] : T(0); };
  if (!taps && !last) {
    for (int64_t c = 0; c < channels; ++c) {
      InterleaveArgs<T> args{};
      args.sums = sums + c * stride * at.pitch, args.phase_stride = at.pitch;
      args.phases = stride, args.cells = task.cells;
      args.rows = rows, args.sums_step = at.row, args.activation = run.activation.of(first + c);
      store_rows(run, task, args, length, out + c * at.target.channel, row_step, bias_of(c));
    }
    return;
  }
  for (int64_t i = 0; i < rows; ++i, sums += at.row, out += row_step) {
    if (taps && !last) {  // [output][channel] is transposed
      if (channels > 1) run.kernels.transpose(sums, channels, 1, channels, length, task.turn, length);
      for (int64_t c = 0; c < channels; ++c) {
        InterleaveArgs<T> args{};
        args.sums = channels > 1 ? task.turn + c * length : sums;
        args.phases = 1, args.cells = length, args.activation = run.activation.of(first + c);
        store_rows(run, task, args, length, out + c * at.target.channel, 0, bias_of(c));
      }
      continue;
    }
    const T* cells = sums;
    if (!taps) {  // [channel][phase][cell] becomes [output][channel]
      for (int64_t c = 0; c < channels; ++c) {
        InterleaveArgs<T> args{};
        args.sums = sums + c * stride * at.pitch, args.phase_stride = at.pitch;
        args.phases = stride, args.cells = task.cells, args.length = length;
        args.out = task.turn + c * length;
        run.kernels.interleave(args);
      }
      T* turned = task.turn + at.row;
      run.kernels.transpose(task.turn, length, 1, length, channels, turned, channels);
      cells = turned;
    }
    run.storage.finish_cells(run.kernels, run.activation.from(first), cells, channels, length, channels, bias,
                             out, at.target.position, task.line, at.line);
  }
}

#define TCONV_COL2IM(S)                                                                               \
  template void add_piece(const Col2imRun<S>&, const Col2imTask<S>&, const Piece&, int64_t);          \
  template void finish_rows(const Col2imRun<S>&, const Col2imTask<S>&, const Storage<S>::T*, int64_t, \
                            int64_t, int64_t, int64_t);
TCONV_COL2IM(float)
TCONV_COL2IM(double)
TCONV_COL2IM(Half)
TCONV_COL2IM(Brain)

}  // namespace tconv
