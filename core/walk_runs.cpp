// Channels first: sums are [position][channel][phase], so the phases along x of a cell are
// already adjacent.
#include "walk.hpp"

namespace tconv {

template <class S> void walk_runs(const Walk<S>& walk, const Task<S>& task) {
  using T = typename Storage<S>::T;
  const Layout& at = walk.at;
  const TargetRows<S> target{at};
  const Box& box = task.box;
  const int64_t channels = task.end - task.begin;
  S* plane = walk.target + box.begin[0] * at.target.batch + task.group * at.target.group;
  sum_columns(walk, task);
  target.each_row(box, plane, at.target.batch,
                  [&](S* out, int64_t position, int64_t phase, const Span& span, int64_t count) {
                    for (int64_t i = 0; i < count * channels; ++i) {
                      const int64_t y = i % count, c = i / count;
                      const T* from = task.sums + (position + y * at.panel.pitch[2]) * at.sums_pitch +
                                      c * at.stacked + phase;
                      const int64_t channel = task.group * at.target_channels + task.begin + c;
                      const T bias = walk.bias ? walk.bias[channel] : T(0);
                      S* to = out + (task.begin + c) * at.target_plane + y * target.row_step();
                      T* row = walk.storage.row(to, task.line);
                      walk.kernels.runs({from, at.sums_pitch, at.axis[2].target_stride, box.size[3],
                                         span.skip, span.length, bias, row});
                      if (walk.activation.what != Activation::none)
                        walk.kernels.activate(row, span.length, walk.activation.of(channel));
                      walk.storage.store(row, span.length, to);
                    }
                  });
}

TCONV_WALKER(walk_runs)

}  // namespace tconv
