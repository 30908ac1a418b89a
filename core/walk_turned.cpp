// Channels last: sums are rows of positions, one per channel, of all groups of the task. They are transposed
// phase by phase, so that the target is written in runs of channels.
#include "walk.hpp"

namespace tconv {

template <class S> void walk_turned(const Walk<S>& walk, const Task<S>& task) {
  using T = typename Storage<S>::T;
  const Layout& at = walk.at;
  const int64_t rows = walk.part.rows, phases = at.stacked > 1 ? 1 : static_cast<int64_t>(at.phases.size());
  const int64_t begin = task.begin * at.stacked, end = task.end * at.stacked;
  const int64_t channels = task.together * (task.end - task.begin);
  const auto turn_phase = [&](int64_t phase, const T* from, int64_t pitch) {
    walk.kernels.transpose(from, pitch, 1, task.positions, channels, task.turned, channels);
    lay_phase(walk, task, phase, task.begin, channels, task.turned, channels);
  };
  for (int64_t r = 0; r < phases; ++r) {
    for (int64_t g = 0; g < task.together; ++g)
      for (int64_t first = begin; first < end; first += rows)
        sum_rows(walk, task, g, first, r, walk.lost(task.group + g, first),
                 task.sums + (g * (end - begin) + first - begin) * at.sums_pitch);
    if (at.stacked == 1) turn_phase(r, task.sums, at.sums_pitch);
  }
  for (int64_t r = 0; at.stacked > 1 && r < at.stacked; ++r)
    turn_phase(r, task.sums + r * (at.band > 1 ? channels : 1) * at.sums_pitch,
               (at.band > 1 ? 1 : at.stacked) * at.sums_pitch);
}

TCONV_WALKER(walk_turned)

}  // namespace tconv
