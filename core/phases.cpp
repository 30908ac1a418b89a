// Box by box: a task packs the input of its box, unless the task before has packed it, and calls the plan's
// walker.
#include "phases.hpp"

#include "memory.hpp"
#include "panel.hpp"
#include "reference.hpp"
#include "threads.hpp"
#include "walk.hpp"
#include "workers.hpp"

namespace tconv {
namespace {

const PhasesPlan& part_of(const Setup& setup) { return std::get<PhasesPlan>(setup.plan.part); }

// Size of a block of weights that a task packs itself.
int64_t block_of(const Setup& setup) {
  const PhasesPlan& part = part_of(setup);
  const Layout& at = setup.layout;
  return part.pack_by_task ? std::min<int64_t>(round_up(at.rows, 16), part.rows) * at.depth * at.taps : 0;
}

// Zeros around the input are multiplied too, which makes NaN of a weight that is not finite. Those outputs
// are computed again.
template <class S> void mend_where_weights_are_infinite(const Setup& setup, Arrays arrays) {
  const PhasesPlan& part = part_of(setup);
  Block weight;
  if (arrays.packed) {
    const bool any = part.parts ? unpack_matrix<S>(setup.plan, part, setup.layout, arrays.packed, weight)
                                : unpack_panels(setup.plan, part, setup.layout,
                                                static_cast<const S*>(arrays.packed), weight);
    if (!any) return;
    arrays.weight = weight.as<void>();
  }
  mend(setup, arrays);
}

// Indexed by Store.
template <class S>
constexpr void (*kWalkers[])(const Walk<S>&, const Task<S>&) = {walk_interleaved<S>, walk_turned<S>,
                                                                walk_runs<S>, walk_cells<S>};

template <class S> void walk_all(const Setup& setup, const Arrays& arrays) {
  using T = typename Storage<S>::T;
  const Plan& plan = setup.plan;
  const PhasesPlan& part = part_of(setup);
  const Layout& at = setup.layout;
  const Storage<S> storage(plan.isa);
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const int64_t boxes = at.box_count(), groups = plan.problem.groups;
  const WideBias<S> bias(storage, static_cast<const S*>(arrays.bias), groups * at.target_channels);
  const int64_t ahead = arrays.packed ? part.prefetch / static_cast<int64_t>(sizeof(T)) : 0;
  std::atomic<bool> lost_by_task{false};
  const Walk<S> walk{plan,
                     part,
                     at,
                     kernels,
                     storage,
                     activation_of<T>(plan),
                     arrays.packed,
                     static_cast<const S*>(arrays.weight),
                     bias.numbers,
                     static_cast<S*>(arrays.target),
                     ahead,
                     &lost_by_task};
  const auto walker = kWalkers<S>[static_cast<size_t>(at.store)];
  const int64_t of_task = at.by_phase() ? part.columns : part.channels;
  const int64_t all = at.by_phase() ? at.columns : at.target_channels;

  Workers workers(plan.most_threads);
  parallel_for(
      ceil_div(groups, at.together) * boxes * at.chunks, workers.threads(), [&](int64_t index, int thread) {
        Worker& worker = workers[thread];  // holds: which box of which groups is in the panel
        T* panel = worker.template memory<T>(static_cast<size_t>(setup.workspace));
        Task<S> task;
        task.sums = panel + at.panel_size, task.turned = task.sums + at.sums;
        T* staged = task.turned + at.turned;
        task.line = staged + at.stage, task.widened = task.line + at.line,
        task.block = task.widened + at.weights;

        const MatrixUse<T> use(kernels, part.parts > 0);
        const int64_t packed_box = index / at.chunks;
        task.group = packed_box / boxes * at.together,
        task.together = std::min(at.together, groups - task.group);
        task.box = box_at(at, packed_box % boxes);
        task.source = static_cast<const S*>(arrays.source) + task.group * at.source.group;
        task.packed_box = packed_box, task.exact = &worker.exact;
        if (worker.holds != packed_box) {
          if constexpr (std::is_same_v<T, float>)
            if (part.parts)
              worker.exact.packed(pack_pairs(at, kernels, storage, task.source, part.parts, task.box, panel,
                                             staged, task.line),
                                  panel, at.blocks * 16 * at.panel.channel);
          if (!part.parts)
            pack_panel(at, kernels, storage, task.source, task.together * at.source_channels, task.box, panel,
                       staged, task.line);
          worker.holds = packed_box;
        }
        task.cells = panel + at.panel.first;
        task.positions = at.panel.position(task.box.size[0] - 1, task.box.size[1] - 1, task.box.size[2] - 1) +
                         task.box.size[3];
        task.begin = index % at.chunks * of_task, task.end = std::min(task.begin + of_task, all);
        walker(walk, task);
      });
  if (arrays.packed || lost_by_task) mend_where_weights_are_infinite<S>(setup, arrays);
}

}  // namespace

int64_t phases_workspace(const Setup& setup) {
  const Layout& at = setup.layout;
  return (at.panel_size + at.stage + at.sums + at.turned + at.line + at.weights + block_of(setup)) * at.size;
}

int64_t phases_packed(const Setup& setup) {
  // Behind the weights: what weights.hpp says.
  const PhasesPlan& part = part_of(setup);
  const int64_t groups = setup.plan.problem.groups,
                size = part.parts ? setup.layout.size : weight_size(setup.plan);
  const int64_t marks = part.parts ? groups * ceil_div(setup.layout.rows, part.rows) : 1;
  return (groups * setup.layout.packed_group + marks) * size;
}

void pack_phases(const Setup& setup, const void* weight, void* packed) {
  with_storage(setup.plan.operands.weight, [&](auto type) {
    using S = decltype(type);
    const S* from = static_cast<const S*>(weight);
    if (part_of(setup).parts) pack_matrix(setup.plan, part_of(setup), setup.layout, from, packed);
    else pack_panels(setup.plan, part_of(setup), setup.layout, from, static_cast<S*>(packed));
  });
}

void run_phases(const Setup& setup, const Arrays& arrays) {
  with_storage(setup.plan.operands.source, [&](auto type) { walk_all<decltype(type)>(setup, arrays); });
}

}  // namespace tconv
