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

// `run`: positions that are read together; rows are padded to whole runs.
Panel make_window(const Layout& at, int64_t run) {
  const Lattice &z = at.axis[0], &y = at.axis[1], &x = at.axis[2];
  Panel panel{};
  panel.pitch[2] = at.box[3] + gap(x, at.box[3]);
  panel.pitch[1] = panel.pitch[2] * (at.box[2] + gap(y, at.box[2]));
  panel.pitch[0] = panel.pitch[1] * (at.box[1] + gap(z, at.box[1]));
  panel.first = -panel.offset(z.nearest, y.nearest, x.nearest);
  const int64_t positions = panel.position(at.box[0] - 1, at.box[1] - 1, at.box[2] - 1) + at.box[3];
  const int64_t past = panel.offset(z.farthest, y.farthest, x.farthest);
  panel.row = round_up(panel.first + round_up(positions, run) + past, run);
  // Channels a multiple of 4 KiB apart would conflict in the same few cache lines of L1.
  if (panel.row * at.size % 4096 == 0) panel.row += run;
  panel.channel = panel.row * at.source_phase_count();
  panel.dense = panel.first == 0 && panel.pitch[0] == at.box[1] * at.box[2] * at.box[3];
  for (const Lattice& axis : at.axis)
    panel.dense =
        panel.dense && axis.source_stride == 1 && axis.source_lo == 0 && axis.cells <= axis.source_size;
  return panel;
}

Panel make_im2col(const Layout& at) {
  Panel panel{};
  panel.pitch[2] = at.box[3];
  panel.pitch[1] = panel.pitch[2] * at.box[2];
  panel.pitch[0] = panel.pitch[1] * at.box[1];
  panel.row = round_up(panel.pitch[0] * at.box[0], at.lanes);
  if (panel.row * at.size % 4096 == 0) panel.row += at.lanes;
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
              const int64_t source_phase =
                  (a.source_phase * phases_y + b.source_phase) * phases_x + c.source_phase;
              phase.offsets.push_back(source_phase * layout.window.row +
                                      layout.window.offset(a.distance, b.distance, c.distance));
              const bool exists = std::min({a.kernel, b.kernel, c.kernel}) >= 0;
              phase.kernel.push_back(
                  exists ? (a.kernel * problem.kernel[1] + b.kernel) * problem.kernel[2] + c.kernel : -1);
            }
        before += static_cast<int64_t>(phase.offsets.size());
        phases.push_back(std::move(phase));
      }
  return phases;
}

// Whether some phase lacks a tap. If so, sorts the taps, those that most phases have first, so that taps of
// the same phases follow each other.
bool sort_uneven(std::vector<PhaseTaps>& phases) {
  const auto has = [&](size_t phase, size_t tap) { return phases[phase].kernel[tap] >= 0; };
  const size_t taps = phases[0].kernel.size();
  std::vector<size_t> order(taps), count(taps, 0);
  for (size_t t = 0; t < taps; ++t) {
    order[t] = t;
    for (size_t r = 0; r < phases.size(); ++r) count[t] += has(r, t);
  }
  if (std::all_of(count.begin(), count.end(), [&](size_t n) { return n == phases.size(); })) return false;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (count[a] != count[b]) return count[a] > count[b];
    for (size_t r = 0; r < phases.size(); ++r)
      if (has(r, a) != has(r, b)) return has(r, a);
    return false;
  });
  for (PhaseTaps& phase : phases) {
    const PhaseTaps before = phase;
    for (size_t t = 0; t < taps; ++t)
      phase.offsets[t] = before.offsets[order[t]], phase.kernel[t] = before.kernel[order[t]];
  }
  return true;
}

// Collects the offsets of all taps as distances, and replaces each tap's offset by the index of its distance.
void repeat_by_distance(Layout& layout) {
  std::vector<int64_t>& all = layout.distances;
  for (const PhaseTaps& phase : layout.phases)
    all.insert(all.end(), phase.offsets.begin(), phase.offsets.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  for (PhaseTaps& phase : layout.phases)
    for (int64_t& offset : phase.offsets)
      offset = std::lower_bound(all.begin(), all.end(), offset) - all.begin();
  for (int64_t& distance : all) distance += layout.window.first;
}

// What all parts have in common: lattices, boxes, the panel, and the taps of each phase. `run`: positions
// read together.
Layout make_common(const Plan& plan, const Cells& box, Window window, int vectors, int64_t run, bool im2col) {
  const Problem& p = plan.problem;
  const bool transposed = plan.map == Map::conv_transpose;
  Layout out{};
  for (int i = 0; i < 3; ++i) out.axis[i] = make_lattice(plan, i, window);
  out.size = sums_size(plan);
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

  out.box = box;
  out.extent = {p.batch, out.axis[0].cells, out.axis[1].cells, out.axis[2].cells};
  for (size_t i = 0; i < 4; ++i) out.boxes[i] = ceil_div(out.extent[i], box[i]);
  out.window = make_window(out, run ? run : out.lanes);
  out.phases = make_phases(p, out);
  out.uneven = window == Window::shared && sort_uneven(out.phases);
  if (im2col) repeat_by_distance(out);
  out.panel = im2col ? make_im2col(out) : out.window;
  out.positions = out.panel.position(box[0] - 1, box[1] - 1, box[2] - 1) + box[3];
  out.tile_lanes = vectors * out.lanes;
  if (source_size(plan) < out.size) {  // numbers are widened in scratch memory
    const Lattice& x = out.axis[2];
    out.line =
        std::max({(box[3] + x.farthest - x.nearest) * x.source_stride, box[3] * x.target_stride, kRows});
    if (out.target.position > 1)
      out.line = std::max({out.line, x.target_stride * out.target_channels, out.target_channels});
  }
  return out;
}

// Whether the phases of the target share a tile.
bool share_tile(const Problem& p, PhasesLanes lanes) {
  bool share = lanes != PhasesLanes::positions;
  for (size_t i = 0; lanes == PhasesLanes::by_phase && i < 3; ++i)
    share = share && p.dilation[i] == 1 && p.kernel[i] % p.stride[i] == 0;
  return share;
}

// Columns of channels, [phase][channel] where channels are last in the target, and their sums.
void lay_columns(Layout& out, const PhasesPlan& part, bool share) {
  const bool by_phase = part.lanes == PhasesLanes::by_phase;
  const int64_t phase_count = static_cast<int64_t>(out.phases.size());
  out.phase_columns = !by_phase ? 0
                    : share     ? out.target_channels
                                : round_up(out.target_channels, out.tile_lanes);
  out.columns = round_up(by_phase ? out.phase_columns * phase_count : out.rows, out.tile_lanes);
  out.packed_group = (by_phase && !share ? out.phase_columns : out.columns) * out.source_channels * out.taps;
  const int64_t of_task =
      by_phase ? std::min(part.columns, out.columns) : std::min(part.channels * out.stacked, out.rows);
  out.sums_pitch = round_up(of_task, out.tile_lanes) + out.lanes;
  out.sums = out.positions * out.sums_pitch;
  if (by_phase) out.chunks = ceil_div(out.columns, part.columns);
  if (by_phase)
    out.turned =
        out.axis[2].target_stride * out.target_channels;  // a bias for every column of a row of phases
}

// Rows of channels, and their sums.
void lay_rows(Layout& out, const PhasesPlan& part) {
  const int64_t unit = part.parts ? 16 : 1;  // rows of a matrix register
  out.packed_group = round_up(out.rows, unit) * out.depth * out.taps;
  out.sums_pitch = round_up(out.positions, out.lanes);
  if (out.sums_pitch * out.size % 2048 == 0) out.sums_pitch += out.lanes;
  // Stacked rows are stored when a task's channels are done, since a channel's phases may be in two tiles.
  int64_t rows = out.stacked > 1 ? std::min(part.channels * out.stacked, out.rows)
                                 : static_cast<int64_t>(out.phases.size()) * part.rows;
  if (out.store == Store::turned) {  // phase by phase, all channels of a task at once
    out.together = part.groups;
    rows = out.together * std::min(part.channels, out.target_channels) * out.stacked;
    out.turned = rows / out.stacked * out.positions;
  }
  out.sums = round_up(rows, unit) * out.sums_pitch;
}

Layout make_phases_layout(const Plan& plan, const PhasesPlan& part) {
  const bool share = share_tile(plan.problem, part.lanes);
  const bool rows = part.lanes == PhasesLanes::positions || part.lanes == PhasesLanes::stacked;
  Layout out =
      make_common(plan, part.box, share ? Window::shared : Window::own, part.vectors, 0, part.im2col);
  const bool last = out.target.position > 1;
  out.store = rows                                ? last ? Store::turned : Store::interleaved
            : part.lanes == PhasesLanes::by_phase ? Store::cells
                                                  : Store::runs;
  for (const PhaseTaps& phase : out.phases) out.taps += static_cast<int64_t>(phase.offsets.size());
  const int64_t phase_count = static_cast<int64_t>(out.phases.size());
  out.blocks = ceil_div(out.source_channels, 32);
  out.depth = part.parts ? part.parts * out.blocks * 16 : out.source_channels;
  out.staged = !part.parts && !part.im2col ? 0 : out.source.position > 1 ? 16 : 2;
  out.stacked = share ? phase_count : 1;
  if (out.stacked > 1) {
    for (const PhaseTaps& phase : out.phases)
      if (phase.offsets != out.phases[0].offsets)
        throw std::invalid_argument("phases that share a tile need the same taps");
    out.taps /= phase_count;
  }
  out.rows = out.target_channels * out.stacked;
  out.together = 1;
  out.band = rows && out.uneven && !part.parts && part.groups == 1
               ? std::min(part.channels, out.target_channels)
               : 1;
  if (part.lanes != PhasesLanes::by_phase) out.chunks = ceil_div(out.target_channels, part.channels);
  if (rows) lay_rows(out, part);
  else lay_columns(out, part, share);

  out.stage = out.staged * out.window.channel;
  out.copy = out.together * out.depth * out.panel.channel;
  for (PhaseTaps& phase : out.phases)
    for (int64_t& offset : phase.offsets) offset *= part.im2col ? out.copy : 1;
  out.panel_size = out.copy * static_cast<int64_t>(part.im2col ? out.distances.size() : 1);
  if (out.line && last) out.line = std::max(out.line, out.together * out.target_channels);
  if (weight_size(plan) < out.size && !part.parts)
    for (const PhaseTaps& phase : out.phases)
      out.weights = std::max(out.weights, static_cast<int64_t>(phase.offsets.size()) * out.source_channels *
                                              (rows ? part.rows : out.tile_lanes));
  return out;
}

}  // namespace

Layout make_layout(const Plan& plan) {
  if (const auto* part = std::get_if<PhasesPlan>(&plan.part)) return make_phases_layout(plan, *part);
  if (const auto* part = std::get_if<DotsPlan>(&plan.part))
    return make_common(plan, part->box, Window::own, part->columns, 0, false);
  const GradientPlan& part = std::get<GradientPlan>(plan.part);
  // Matrix registers read rows of 32 positions.
  return make_common(plan, part.box, Window::own, part.vectors, part.parts ? 32 : 0, false);
}

std::vector<Strip> strips_of(const Layout& at, int64_t first, int64_t rows) {
  std::vector<Strip> strips{{0, 0, 0, rows, false}};
  std::vector<const int64_t*> elements;  // of each row's phase
  for (int64_t i = 0; i < rows; ++i)
    elements.push_back(at.phases[static_cast<size_t>(at.row_at(first + i).phase)].kernel.data());
  for (size_t t = 0; t < at.phases[0].kernel.size(); ++t) {
    int64_t begin = 0, end = rows;
    while (begin < end && elements[static_cast<size_t>(begin)][t] < 0) ++begin;
    while (begin < end && elements[static_cast<size_t>(end - 1)][t] < 0) --end;
    if (begin == end) continue;
    const int64_t tap = static_cast<int64_t>(t);
    const bool zeros = std::any_of(elements.begin() + begin, elements.begin() + end,
                                   [&](const int64_t* of_row) { return of_row[t] < 0; });
    Strip& last = strips.back();
    if (last.row == begin && last.rows == end - begin && last.tap + last.taps == tap)
      ++last.taps, last.zeros |= zeros;
    else strips.push_back({tap, 1, begin, end - begin, zeros});
  }
  return strips;
}

Box box_at(const Layout& at, int64_t index) {
  Box box;
  for (size_t i = 4; i-- > 0;) {
    box.begin[i] = index % at.boxes[i] * at.box[i];
    box.size[i] = std::min(at.box[i], at.extent[i] - box.begin[i]);
    index /= at.boxes[i];
  }
  return box;
}

}  // namespace tconv
