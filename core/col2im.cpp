#include "col2im.hpp"

#include <algorithm>
#include <cstring>

#include "col2im_collect.hpp"
#include "col2im_task.hpp"
#include "col2im_walk.hpp"
#include "memory.hpp"
#include "threads.hpp"
#include "workers.hpp"

namespace tconv {
namespace {

const Col2imPlan& part_of(const Setup& setup) { return std::get<Col2imPlan>(setup.plan.part); }

Reach make_reach(const Problem& p, size_t axis, int64_t rows) {
  const int64_t boxes = ceil_div(p.input[axis], rows), extent = p.output[axis];
  const int64_t span = p.dilation[axis] * (p.kernel[axis] - 1) + 1;
  Reach out;
  for (int64_t b = 0; b < boxes; ++b) {
    const int64_t first = b * rows * p.stride[axis] - p.lo[axis];
    const int64_t last = (std::min((b + 1) * rows, p.input[axis]) - 1) * p.stride[axis] - p.lo[axis];
    out.begin.push_back(std::clamp<int64_t>(b ? first : 0, 0, extent));
    out.end.push_back(std::clamp<int64_t>(b + 1 < boxes ? last + span : extent, 0, extent));
  }
  for (size_t b = 0; b + 1 < out.end.size(); ++b) out.end[b] = std::max(out.end[b], out.begin[b + 1]);
  for (int64_t o = 0, first = 0, last = 0; o < extent; ++o) {
    while (out.end[static_cast<size_t>(first)] <= o) ++first;
    while (last + 1 < boxes && out.begin[static_cast<size_t>(last + 1)] <= o) ++last;
    out.first.push_back(first), out.last.push_back(last);
  }
  return out;
}

int64_t longest(const Reach& reach) {
  int64_t most = 0;
  for (size_t b = 0; b < reach.end.size(); ++b) most = std::max(most, reach.end[b] - reach.begin[b]);
  return most;
}

bool alone(const Reach& reach, int64_t row) {
  return reach.first[static_cast<size_t>(row)] == reach.last[static_cast<size_t>(row)];
}

// Rows a multiple of 4 KiB apart would conflict in the same few cache lines of L1.
int64_t padded(int64_t row, int lanes, int64_t size) {
  const int64_t whole = round_up(row, lanes);
  return whole * size % 4096 == 0 ? whole + lanes : whole;
}

// Where the sums of a box begin that wait for those of its neighbours.
int64_t shared_sums(const Setup& setup, int64_t group, int64_t chunk, int64_t box, int64_t item) {
  const Col2im& at = setup.col2im;
  return (((group * at.chunks + chunk) * at.box_count() + box) * part_of(setup).box[0] + item) * at.sums;
}

int64_t box_index(const Col2im& at, int64_t n, int64_t z, int64_t y, int64_t x) {
  return ((n * at.boxes[1] + z) * at.boxes[2] + y) * at.boxes[3] + x;
}

template <class S>
Col2imTask<S> task_of(const Col2imRun<S>& run, int64_t group, int64_t chunk, int64_t n, int64_t z, int64_t y,
                      int64_t x) {
  const Col2im& at = run.at;
  const Problem& p = run.plan.problem;
  const Cells& box = run.part.box;
  Col2imTask<S> task{};
  task.group = group, task.first = chunk * run.part.channels;
  task.channels = std::min(run.part.channels, p.out_channels - task.first);
  task.batch = n * box[0], task.items = std::min(box[0], p.batch - task.batch);
  task.box_z = z, task.box_y = y;
  task.cell = x * box[3], task.cells = std::min(box[3], at.cells - task.cell);
  task.out_z = at.z.begin[static_cast<size_t>(z)], task.end_z = at.z.end[static_cast<size_t>(z)];
  task.out_y = at.y.begin[static_cast<size_t>(y)], task.end_y = at.y.end[static_cast<size_t>(y)];
  return task;
}

// The workspace of one thread: its own sums last.
template <class S> void give_memory(const Col2im& at, typename Storage<S>::T* memory, Col2imTask<S>& task) {
  task.products = memory + at.before, task.stage = memory + at.products, task.line = task.stage + at.stage;
  task.turn = task.line + at.line, task.sums = task.turn + at.turn;
}

// Stores the rows that no other box reaches, as many together as are adjacent.
template <class S> void finish_own_rows(const Col2imRun<S>& run, const Col2imTask<S>& task) {
  const Col2im& at = run.at;
  for (int64_t item = 0; item < task.items; ++item)
    for (int64_t z = task.out_z; z < task.end_z; ++z) {
      if (!alone(at.z, z)) continue;
      int64_t begin = task.out_y, end = task.end_y;
      while (begin < end && !alone(at.y, begin)) ++begin;
      while (begin < end && !alone(at.y, end - 1)) --end;
      if (begin == end) continue;
      const int64_t row = (z - task.out_z) * at.rows_y + begin - task.out_y;
      finish_rows(run, task, task.sums + item * at.sums + row * at.row, item, z, begin, end - begin);
    }
}

// Adds the sums of all boxes that reach a row, in order, and stores it.
template <class S>
void finish_shared_row(const Setup& setup, const Col2imRun<S>& run, typename Storage<S>::T* shared,
                       int64_t group, int64_t chunk, int64_t batch, int64_t x, int64_t z, int64_t y,
                       typename Storage<S>::T* memory) {
  using T = typename Storage<S>::T;
  const Col2im& at = run.at;
  const int64_t n = batch / run.part.box[0], item = batch % run.part.box[0];
  T* sums = nullptr;
  Col2imTask<S> task{};
  for (int64_t bz = at.z.first[static_cast<size_t>(z)]; bz <= at.z.last[static_cast<size_t>(z)]; ++bz)
    for (int64_t by = at.y.first[static_cast<size_t>(y)]; by <= at.y.last[static_cast<size_t>(y)]; ++by) {
      task = task_of(run, group, chunk, n, bz, by, x);
      T* own = shared + shared_sums(setup, group, chunk, box_index(at, n, bz, by, x), item) +
               ((z - task.out_z) * at.rows_y + y - task.out_y) * at.row;
      if (sums) run.kernels.add({own, 0, 1, at.row, sums, 0});
      else sums = own;
    }
  give_memory(at, memory, task);
  finish_rows(run, task, sums, item, z, y, 1);
}

template <class S> void run_all(const Setup& setup, const Arrays& arrays) {
  using T = typename Storage<S>::T;
  const Plan& plan = setup.plan;
  const Col2imPlan& part = part_of(setup);
  const Col2im& at = setup.col2im;
  const Problem& p = plan.problem;
  const Storage<S> storage(plan.isa);
  const WideBias<S> bias(storage, static_cast<const S*>(arrays.bias), p.groups * p.out_channels);
  const Col2imRun<S> run{plan,
                         part,
                         at,
                         kernels_for<T>(plan.isa),
                         storage,
                         activation_of<T>(plan),
                         static_cast<const T*>(arrays.packed),
                         bias.numbers,
                         static_cast<const S*>(arrays.source),
                         static_cast<S*>(arrays.target)};
  Block block;
  if (!at.shared.empty()) block = Block(static_cast<size_t>(col2im_shared(setup)));
  T* shared = block.template as<T>();
  const int64_t boxes = at.box_count();

  Workers workers(plan.most_threads);
  parallel_for(p.groups * at.chunks * boxes, workers.threads(), [&](int64_t index, int thread) {
    // Adjacent tasks read the same positions, or the same weights.
    const int64_t group = index / boxes / at.chunks, inner = index % (boxes * at.chunks);
    const bool taps = part.lanes == Col2imLanes::taps;
    const int64_t chunk = taps ? inner / boxes : inner % at.chunks,
                  box = taps ? inner % boxes : inner / at.chunks;
    const int64_t x = box % at.boxes[3], y = box / at.boxes[3] % at.boxes[2],
                  z = box / at.boxes[3] / at.boxes[2] % at.boxes[1],
                  n = box / at.boxes[3] / at.boxes[2] / at.boxes[1];
    Col2imTask<S> task = task_of(run, group, chunk, n, z, y, x);
    give_memory(at, workers[thread].template memory<T>(static_cast<size_t>(setup.workspace)), task);
    if (shared) task.sums = shared + shared_sums(setup, group, chunk, box, 0);
    std::fill_n(task.sums, task.items * at.sums, T(0));
    int64_t count = 0;
    each_piece(plan, at, part.box, z, y, task.cell, task.cells, [&](const Piece& piece) {
      multiply_piece(run, task, piece);
      add_piece(run, task, piece, count++);
    });
    finish_own_rows(run, task);
  });
  if (!shared) return;
  const int64_t rows = static_cast<int64_t>(at.shared.size()),
                all = p.groups * at.chunks * p.batch * at.boxes[3] * rows;
  const int64_t tasks = std::min<int64_t>(all, 64);
  parallel_for(tasks, workers.threads(), [&](int64_t task, int thread) {
    T* memory = workers[thread].template memory<T>(static_cast<size_t>(setup.workspace));
    for (int64_t i = all * task / tasks; i < all * (task + 1) / tasks; ++i) {
      const auto& row = at.shared[static_cast<size_t>(i % rows)];
      const int64_t x = i / rows % at.boxes[3], batch = i / rows / at.boxes[3] % p.batch,
                    channels = i / rows / at.boxes[3] / p.batch;
      finish_shared_row(setup, run, shared, channels / at.chunks, channels % at.chunks, batch, x, row[0],
                        row[1], memory);
    }
  });
}

}  // namespace

Col2im make_col2im(const Plan& plan) {
  const Problem& p = plan.problem;
  const Col2imPlan& part = std::get<Col2imPlan>(plan.part);
  const bool taps = part.lanes == Col2imLanes::taps, narrow = source_size(plan) < sums_size(plan);
  const int64_t size = sums_size(plan);
  Col2im out{};
  out.lanes = lanes_of(plan);
  out.kernel = p.kernel[0] * p.kernel[1] * p.kernel[2];
  out.cells = ceil_div(p.output[2], p.stride[2]);
  out.z = make_reach(p, 0, part.box[1]), out.y = make_reach(p, 1, part.box[2]);
  out.boxes[0] = ceil_div(p.batch, part.box[0]);
  out.boxes[1] = static_cast<int64_t>(out.z.end.size()),
  out.boxes[2] = static_cast<int64_t>(out.y.end.size());
  out.boxes[3] = ceil_div(out.cells, part.box[3]);
  out.chunks = ceil_div(p.out_channels, part.channels);
  for (int64_t k = 0; k < p.kernel[2]; ++k) {
    const int64_t from = k * p.dilation[2] - p.lo[2], shift = floor_div(from, p.stride[2]);
    out.shift.push_back(shift), out.phase.push_back(from - shift * p.stride[2]);
  }
  out.nearest = out.shift.front(), out.farthest = out.shift.back();
  for (int64_t z = 0; z < p.output[0]; ++z)
    for (int64_t y = 0; y < p.output[1]; ++y)
      if (!alone(out.z, z) || !alone(out.y, y)) out.shared.push_back({z, y});
  out.source_plane = p.input[0] * p.input[1] * p.input[2];
  out.target_plane = p.output[0] * p.output[1] * p.output[2];
  out.source = make_side(plan, p.in_channels, out.source_plane);
  out.target = make_side(plan, p.out_channels, out.target_plane);
  out.source_size = p.batch * p.groups * p.in_channels * out.source_plane;
  out.staged = part.staged || narrow || out.source.position > 1;

  const bool collected = collects(plan, out);
  const int64_t rows = part.channels * out.kernel, outputs = part.box[3] * p.stride[2];
  out.pitch = collected ? round_up(part.box[3], out.lanes) : part.box[3];
  out.columns = padded(taps ? rows : part.positions, out.lanes, size);
  // Vectors of products may begin before the first one, and end after the last.
  out.before = collected ? out.lanes : 0;
  out.products = part.box[0] * (taps ? part.positions : rows) * out.columns + 2 * out.before;
  out.row = part.channels * out.pitch * p.stride[2];
  out.rows_y = longest(out.y);
  out.sums = longest(out.z) * out.rows_y * out.row;
  out.packed_chunk = (taps ? round_up(rows, out.lanes) : rows) * p.in_channels;
  if (taps) out.stage = out.staged ? part.box[0] * p.in_channels * part.positions : 0;
  else out.stage = part.depth * (out.staged ? out.columns : out.lanes);
  if (narrow) out.line = std::max(outputs, part.channels);
  if (taps || out.target.position > 1) out.turn = 2 * out.row;
  if (collected) collect(plan, out);
  return out;
}

int64_t col2im_workspace(const Setup& setup) {
  const Col2im& at = setup.col2im;
  const int64_t sums = at.shared.empty() ? part_of(setup).box[0] * at.sums : 0;
  return (at.products + at.stage + at.line + at.turn + sums) * sums_size(setup.plan);
}

int64_t col2im_shared(const Setup& setup) {
  const Col2im& at = setup.col2im;
  if (at.shared.empty()) return 0;
  return shared_sums(setup, setup.plan.problem.groups, 0, 0, 0) * sums_size(setup.plan);
}

void run_col2im(const Setup& setup, const Arrays& arrays) {
  with_storage(setup.plan.operands.source, [&](auto type) { run_all<decltype(type)>(setup, arrays); });
}

}  // namespace tconv
