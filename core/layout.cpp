#include "layout.hpp"

#include <algorithm>
#include <stdexcept>

#include "table.hpp"

namespace tconv {
namespace {

// Cells between the end of one row of a panel and the beginning of the next.
int64_t gap(const Lattice& axis, int64_t box) {
  const bool shared = box >= axis.cells && axis.zeros_outside();
  return shared ? std::max(axis.farthest, -axis.nearest) : axis.farthest - axis.nearest;
}

Panel make_window(const Plan& plan, const Layout& layout) {
  const Lattice &z = layout.axis[0], &y = layout.axis[1], &x = layout.axis[2];
  Panel panel{};
  panel.pitch[2] = plan.box[3] + gap(x, plan.box[3]);
  panel.pitch[1] = panel.pitch[2] * (plan.box[2] + gap(y, plan.box[2]));
  panel.pitch[0] = panel.pitch[1] * (plan.box[1] + gap(z, plan.box[1]));
  panel.first = -panel.offset(z.nearest, y.nearest, x.nearest);
  const int64_t positions = panel.position(plan.box[0] - 1, plan.box[1] - 1, plan.box[2] - 1) + plan.box[3];
  const int64_t past = panel.offset(z.farthest, y.farthest, x.farthest);
  // A weight gradient's matrix registers read rows of 32 positions.
  const int64_t run = plan.parts && plan.map == Map::weight_gradient ? 32 : layout.lanes;
  panel.row = round_up(panel.first + round_up(positions, run) + past, run);
  // Channels a multiple of 4 KiB apart would fight for the same few lines of L1.
  if (panel.row * computed_size(plan.dtype) % 4096 == 0) panel.row += run;
  panel.channel = panel.row * layout.source_phase_count();
  panel.dense = panel.first == 0 && panel.pitch[0] == plan.box[1] * plan.box[2] * plan.box[3];
  for (const Lattice& axis : layout.axis)
    panel.dense = panel.dense && axis.source_stride == 1 && axis.source_lo == 0 && axis.cells <= axis.source_size;
  return panel;
}

Panel make_im2col(const Plan& plan, const Layout& layout) {
  Panel panel{};
  panel.pitch[2] = plan.box[3];
  panel.pitch[1] = panel.pitch[2] * plan.box[2];
  panel.pitch[0] = panel.pitch[1] * plan.box[1];
  panel.row = round_up(panel.pitch[0] * plan.box[0], layout.lanes);
  if (panel.row * computed_size(plan.dtype) % 4096 == 0) panel.row += layout.lanes;
  panel.channel = panel.row;
  return panel;
}

// With offsets into a window.
std::vector<PhaseTaps> make_phases(const Problem& problem, const Layout& layout) {
  const Lattice &z = layout.axis[0], &y = layout.axis[1], &x = layout.axis[2];
  const int64_t phases_y = static_cast<int64_t>(y.source_phases.size());
  const int64_t phases_x = static_cast<int64_t>(x.source_phases.size());
  std::vector<PhaseTaps> phases;
  int64_t before = 0;
  for (const auto& taps_z : z.target_taps)
    for (const auto& taps_y : y.target_taps)
      for (const auto& taps_x : x.target_taps) {
        PhaseTaps phase;
        phase.before = before;
        for (const Tap& a : taps_z)
          for (const Tap& b : taps_y)
            for (const Tap& c : taps_x) {
              const int64_t source_phase = (a.source_phase * phases_y + b.source_phase) * phases_x + c.source_phase;
              phase.offsets.push_back(source_phase * layout.window.row +
                                      layout.window.offset(a.distance, b.distance, c.distance));
              phase.kernel.push_back((a.kernel * problem.kernel[1] + b.kernel) * problem.kernel[2] + c.kernel);
            }
        before += static_cast<int64_t>(phase.offsets.size());
        phases.push_back(std::move(phase));
      }
  return phases;
}

// Gives every offset that some tap has its place among the distances, and the taps that place instead.
void repeat_by_distance(Layout& layout) {
  std::vector<int64_t>& all = layout.distances;
  for (const PhaseTaps& phase : layout.phases) all.insert(all.end(), phase.offsets.begin(), phase.offsets.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  for (PhaseTaps& phase : layout.phases)
    for (int64_t& offset : phase.offsets) offset = std::lower_bound(all.begin(), all.end(), offset) - all.begin();
  for (int64_t& distance : all) distance += layout.window.first;
}

}  // namespace

Layout make_layout(const Plan& plan) {
  const Problem& p = plan.problem;
  const bool transposed = plan.map == Map::conv_transpose;
  Layout out{};
  const bool all = p.groups * (transposed ? p.out_channels : p.in_channels) > 1;  // see make_side
  out.by_phase = plan.last && all && plan.lanes == Lanes::channels && plan.map != Map::weight_gradient;
  bool share = plan.lanes != Lanes::positions;  // whether phases share a tile
  for (int i = 0; out.by_phase && i < 3; ++i) share = share && p.dilation[i] == 1 && p.kernel[i] % p.stride[i] == 0;
  for (int i = 0; i < 3; ++i) out.axis[i] = make_lattice(plan, i, share);
  out.lanes = lanes_of(plan);
  out.source_channels = transposed ? p.in_channels : p.out_channels;
  out.target_channels = transposed ? p.out_channels : p.in_channels;
  out.source_plane = out.axis[0].source_size * out.axis[1].source_size * out.axis[2].source_size;
  out.target_plane = out.axis[0].target_size * out.axis[1].target_size * out.axis[2].target_size;
  out.source = make_side(plan, out.source_channels, out.source_plane);
  out.target = make_side(plan, out.target_channels, out.target_plane);
  out.kernel_cells = p.kernel[0] * p.kernel[1] * p.kernel[2];
  out.row_stride = transposed ? out.kernel_cells : p.out_channels * out.kernel_cells;
  out.depth_stride = transposed ? p.out_channels * out.kernel_cells : out.kernel_cells;

  const int64_t extent[4] = {p.batch, out.axis[0].cells, out.axis[1].cells, out.axis[2].cells};
  for (int i = 0; i < 4; ++i) out.box[i] = plan.box[i], out.boxes[i] = ceil_div(extent[i], plan.box[i]);
  out.window = make_window(plan, out);
  out.phases = make_phases(p, out);
  if (plan.im2col) repeat_by_distance(out);
  out.panel = plan.im2col ? make_im2col(plan, out) : out.window;
  out.positions = out.panel.position(plan.box[0] - 1, plan.box[1] - 1, plan.box[2] - 1) + plan.box[3];
  for (const PhaseTaps& phase : out.phases) out.taps += static_cast<int64_t>(phase.offsets.size());

  out.blocks = ceil_div(out.source_channels, 32);
  out.depth = plan.parts ? plan.parts * out.blocks * 16 : out.source_channels;
  out.staged = !plan.parts && !plan.im2col ? 0 : out.source.position > 1 ? 16 : 2;
  out.tile_lanes = plan.vectors * out.lanes;
  const int64_t phase_count = static_cast<int64_t>(out.phases.size());
  out.stacked = share ? phase_count : 1;
  if (out.stacked > 1) {
    for (const PhaseTaps& phase : out.phases)
      if (phase.offsets != out.phases[0].offsets)
        throw std::invalid_argument("phases that share a tile need the same taps");
    out.taps /= phase_count;
  }
  out.rows = out.target_channels * out.stacked;
  out.together = 1;
  out.chunks = ceil_div(out.target_channels, plan.chunk);
  if (out.by_phase) {
    out.phase_columns = share ? out.target_channels : round_up(out.target_channels, out.tile_lanes);
    out.columns = round_up(out.phase_columns * phase_count, out.tile_lanes);
    out.packed_group = (share ? out.columns : out.phase_columns) * out.source_channels * out.taps;
    out.chunks = ceil_div(out.columns, plan.chunk);
    out.sums_pitch = round_up(std::min(plan.chunk, out.columns), out.tile_lanes) + out.lanes;
    out.sums = out.positions * out.sums_pitch;
    out.turned = out.axis[2].target_stride * out.target_channels;  // a bias for every column of a row of phases
  } else if (plan.lanes == Lanes::channels) {
    out.columns = round_up(out.rows, out.tile_lanes);
    out.packed_group = out.columns * out.source_channels * out.taps;
    out.sums_pitch = round_up(std::min(plan.chunk * out.stacked, out.rows), out.tile_lanes) + out.lanes;
    out.sums = out.positions * out.sums_pitch;
  } else {
    const int64_t unit = plan.parts ? 16 : 1;  // rows of a matrix register
    out.packed_group = round_up(out.rows, unit) * out.depth * out.taps;
    out.sums_pitch = round_up(out.positions, out.lanes);
    if (out.sums_pitch * computed_size(plan.dtype) % 2048 == 0) out.sums_pitch += out.lanes;
    // Stacked rows are stored when a task's channels are done, since a channel's phases may lie in two tiles.
    int64_t rows = out.stacked > 1 ? std::min(plan.chunk * out.stacked, out.rows) : phase_count * plan.rows;
    if (out.target.position > 1) {  // stored phase by phase, all channels of a task at once
      out.together = plan.parts ? 1 : std::clamp<int64_t>(plan.chunk / out.target_channels, 1, p.groups);
      rows = std::min(plan.chunk, out.together * out.target_channels) * out.stacked;
      out.turned = rows / out.stacked * out.positions;
    }
    rows = round_up(rows, unit);
    out.sums = rows * out.sums_pitch;
  }
  out.stage = out.staged * out.window.channel;
  out.copy = out.together * out.depth * out.panel.channel;
  for (PhaseTaps& phase : out.phases)
    for (int64_t& offset : phase.offsets) offset *= plan.im2col ? out.copy : 1;
  out.panel_size = out.copy * static_cast<int64_t>(plan.im2col ? out.distances.size() : 1);
  if (dtype_size(plan.dtype) < computed_size(plan.dtype)) {
    const Lattice& x = out.axis[2];
    out.line = std::max({(plan.box[3] + x.farthest - x.nearest) * x.source_stride, plan.box[3] * x.target_stride, kRows});
    if (out.target.position > 1) out.line = std::max({out.line, x.target_stride * out.target_channels, out.together * out.target_channels});
    for (const PhaseTaps& phase : out.phases)
      out.weights = std::max(out.weights, static_cast<int64_t>(phase.offsets.size()) * out.source_channels *
                                              (plan.lanes == Lanes::channels ? out.tile_lanes : plan.rows));
    if (plan.parts || plan.map == Map::weight_gradient) out.weights = 0;
  }
  return out;
}

Box box_at(const Plan& plan, const Layout& layout, int64_t index) {
  const int64_t extent[4] = {plan.problem.batch, layout.axis[0].cells, layout.axis[1].cells, layout.axis[2].cells};
  Box box;
  for (int i = 3; i >= 0; --i) {
    box.begin[i] = index % layout.boxes[i] * plan.box[i];
    box.size[i] = std::min(plan.box[i], extent[i] - box.begin[i]);
    index /= layout.boxes[i];
  }
  return box;
}

}  // namespace tconv
