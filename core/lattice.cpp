#include "lattice.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace tconv {
namespace {

// How many zeros before the kernel make the number of cells smallest; together with those behind it, they
// extend the kernel to a multiple of the stride.
int64_t zeros_before(const Problem& p, int axis) {
  const int64_t stride = p.stride[axis];
  if (p.dilation[axis] != 1) return 0;
  int64_t best = 0, least = std::numeric_limits<int64_t>::max();
  for (int64_t zeros = 0; (p.kernel[axis] + zeros - 1) / stride == (p.kernel[axis] - 1) / stride; ++zeros) {
    const int64_t cells = ceil_div(p.output[axis] + floor_mod(p.lo[axis] + zeros, stride), stride);
    if (cells < least) best = zeros, least = cells;
  }
  return best;
}

// Gives every phase all distances, the farthest last.
void share_taps(std::vector<std::vector<Tap>>& phases) {
  std::vector<int64_t> all;
  for (const auto& taps : phases)
    for (const Tap& tap : taps) all.push_back(tap.distance);
  std::sort(all.begin(), all.end(), std::greater<>());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  for (auto& taps : phases) {
    std::vector<Tap> shared;
    auto own = taps.begin();  // in the same order, since kernel indices increase
    for (int64_t distance : all)
      shared.push_back(own != taps.end() && own->distance == distance ? *own++ : Tap{-1, 0, distance});
    taps = std::move(shared);
  }
}

Lattice transposed(const Problem& p, int axis, Window window) {
  const bool aligned = window != Window::own;
  const int64_t stride = p.stride[axis], zeros = window == Window::shared ? zeros_before(p, axis) : 0,
                lo = p.lo[axis] + zeros;
  Lattice out{};
  out.source_stride = 1;
  out.source_size = p.input[axis];
  out.target_stride = stride;
  out.target_size = p.output[axis];
  out.source_phases = {0};
  // Aligned lattices start at a whole cell of the uncropped output, with the zeros before it, and crop in the
  // store.
  const int64_t first_cell = aligned ? floor_div(lo, stride) : 0;
  out.target_lo = aligned ? lo - first_cell * stride : 0;
  out.cells = ceil_div(out.target_size + out.target_lo, stride);
  out.target_taps.resize(stride);
  for (int64_t phase = 0; phase < stride; ++phase) {
    const int64_t full =
        (aligned ? phase + first_cell * stride : phase + lo) - zeros;  // uncropped index of cell 0
    for (int64_t k = 0; k < p.kernel[axis]; ++k) {
      const int64_t offset = full - k * p.dilation[axis];
      if (offset % stride == 0) out.target_taps[phase].push_back({k, 0, offset / stride});
    }
  }
  if (window == Window::shared) share_taps(out.target_taps);
  return out;
}

Lattice strided(const Problem& p, int axis) {
  const int64_t stride = p.stride[axis];
  Lattice out{};
  out.source_stride = stride;
  out.source_lo = p.lo[axis];
  out.source_size = p.output[axis];
  out.target_stride = 1;
  out.target_size = out.cells = p.input[axis];
  out.target_taps.resize(1);
  for (int64_t k = 0; k < p.kernel[axis]; ++k) {
    const int64_t offset = k * p.dilation[axis], residue = offset % stride;
    auto at = std::find(out.source_phases.begin(), out.source_phases.end(), residue);
    const int64_t index = at - out.source_phases.begin();
    if (at == out.source_phases.end()) out.source_phases.push_back(residue);
    out.target_taps[0].push_back({k, index, offset / stride});
  }
  return out;
}

}  // namespace

bool Lattice::zeros_outside() const {
  for (int64_t phase : source_phases) {
    if (cells * source_stride + phase - source_lo < source_size) return false;
    if (phase - source_stride - source_lo >= 0) return false;
  }
  return true;
}

Lattice make_lattice(const Plan& plan, int axis, Window window) {
  Lattice out =
      plan.map == Map::conv_transpose ? transposed(plan.problem, axis, window) : strided(plan.problem, axis);
  for (const auto& taps : out.target_taps)
    for (const Tap& tap : taps) {
      out.nearest = std::min(out.nearest, tap.distance);
      out.farthest = std::max(out.farthest, tap.distance);
    }
  return out;
}

}  // namespace tconv
