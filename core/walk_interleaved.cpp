// Channels first: sums are rows of positions, one per channel and phase. A row of the target
// interleaves the phases of a channel along x.
#include <type_traits>

#include "walk.hpp"

namespace tconv {
namespace {

// Stores channels [c, end), whose sums are `channel_pitch` rows apart and their phases `phase_pitch`.
template <class S>
void store_channels(const Walk<S>& walk, const Task<S>& task, int64_t c, int64_t end, int64_t channel_pitch,
                    int64_t phase_pitch) {
  using T = typename Storage<S>::T;
  const Layout& at = walk.at;
  const TargetRows<S> target{at};
  const Box& box = task.box;
  const int64_t row_step = target.row_step();
  S* plane = walk.target + box.begin[0] * at.target.batch + task.group * at.target.group;
  target.each_row(
      box, plane, at.target.batch,
      [&](S* out, int64_t position, int64_t phase, const Span& span, int64_t count) {
        for (int64_t i = 0; i < end - c; ++i) {
          S* to = out + (c + i) * at.target_plane;
          const T* from = task.sums + (phase * phase_pitch + i * channel_pitch) * at.sums_pitch + position;
          const int64_t channel = task.group * at.target_channels + c + i;
          const T bias = walk.bias ? walk.bias[channel] : T(0);
          InterleaveArgs<T> rows{from,
                                 phase_pitch * at.sums_pitch,
                                 at.axis[2].target_stride,
                                 box.size[3],
                                 span.skip,
                                 span.length,
                                 bias,
                                 nullptr,
                                 walk.activation.of(channel),
                                 1,
                                 at.panel.pitch[2],
                                 row_step};
          if constexpr (std::is_same_v<S, T>) {  // all at once: rows are often short
            rows.out = to, rows.rows = count;
            walk.kernels.interleave(rows);
          } else {
            rows.out = task.line, rows.out_step = span.length;
            const int64_t room = std::max<int64_t>(1, at.line / span.length);
            for (int64_t y = 0; y < count; y += room, rows.sums += room * rows.sums_step) {
              rows.rows = std::min(room, count - y);
              walk.kernels.interleave(rows);
              for (int64_t j = 0; j < rows.rows; ++j)
                walk.storage.store(task.line + j * span.length, span.length, to + (y + j) * row_step);
            }
          }
        }
      });
}

}  // namespace

template <class S> void walk_interleaved(const Walk<S>& walk, const Task<S>& task) {
  const PhasesPlan& part = walk.part;
  const Layout& at = walk.at;
  const int64_t phases = at.stacked > 1 ? 1 : static_cast<int64_t>(at.phases.size());
  const int64_t begin = task.begin * at.stacked, end = task.end * at.stacked;
  for (int64_t first = begin; first < end; first += part.rows) {
    bool lost = false;
    if (walk.packed) {
      lost = walk.lost(task.group, first);
    } else {
      const Mark mark = pack_block(walk.plan, part, at, walk.weight, task.group, first, task.block);
      lost = mark != kParts;
      if (mark == kInfinite) *walk.infinite_by_task = true;
    }
    for (int64_t r = 0; r < phases; ++r)
      sum_rows(walk, task, 0, first, r, lost,
               task.sums + (at.stacked > 1 ? first - begin : r * part.rows) * at.sums_pitch);
    if (at.stacked == 1) store_channels(walk, task, first, std::min(first + part.rows, end), 1, part.rows);
  }
  if (at.band > 1) store_channels(walk, task, task.begin, task.end, 1, task.end - task.begin);
  else if (at.stacked > 1) store_channels(walk, task, task.begin, task.end, at.stacked, 1);
}

TCONV_WALKER(walk_interleaved)

}  // namespace tconv
