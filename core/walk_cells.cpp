// Channels last: sums are [position][phase][channel]. Each phase, or where phases share a tile each row of
// them along x, is contiguous in the target in the same order.
#include "walk.hpp"

namespace tconv {
namespace {

// All phases along x of a cell are adjacent in the target, too, where it has no other groups.
template <class S> void lay_cells(const Walk<S>& walk, const Task<S>& task) {
  using T = typename Storage<S>::T;
  const Layout& at = walk.at;
  const TargetRows<S> target{at};
  const int64_t channels = at.target_channels,
                columns = at.axis[2].target_stride * channels;  // of all phases along x
  T* biases = task.turned;
  for (int64_t i = 0; walk.bias && i < columns; ++i) biases[i] = walk.bias[i % channels];
  for (int64_t q = task.begin / columns; q * columns < std::min(task.end, at.rows); ++q) {
    const int64_t first = q * columns, begin = std::max(task.begin, first) - first,
                  end = std::min(task.end - first, columns);
    const T* sums = task.sums + first - task.begin;
    target.each_row_of_cells(
        q, task.box, [&](int64_t cell, int64_t position, int64_t count, int64_t from, int64_t to) {
          from = std::max(from * channels, begin), to = std::min(to * channels, end);
          // Slopes of channels are not repeated for each phase, as biases are.
          for (int64_t next = to; from < to; from = next, next = to) {
            if (walk.activation.slopes) next = std::min(to, (from / channels + 1) * channels);
            walk.storage.finish_cells(walk.kernels, walk.activation.from(from % channels),
                                      sums + position * at.sums_pitch + from, at.sums_pitch, count,
                                      next - from, walk.bias ? biases + from : nullptr,
                                      walk.target + cell * channels + from, columns, task.line, at.line);
          }
        });
  }
}

}  // namespace

template <class S> void walk_cells(const Walk<S>& walk, const Task<S>& task) {
  const Layout& at = walk.at;
  sum_columns(walk, task);
  if (at.stacked > 1 && at.target.position == at.target_channels) return lay_cells(walk, task);
  for (int64_t r = task.begin / at.phase_columns; r < static_cast<int64_t>(at.phases.size()); ++r) {
    const int64_t first = r * at.phase_columns, begin = std::max(task.begin, first);
    const int64_t end = std::min(task.end, first + at.target_channels);
    if (begin < end)
      lay_phase(walk, task, r, begin - first, end - begin, task.sums + begin - task.begin, at.sums_pitch);
  }
}

TCONV_WALKER(walk_cells)

}  // namespace tconv
