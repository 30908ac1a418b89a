// Sums in vectors, of the boxes and weights that matrix registers would not get right.
//
// Splitting a number into bfloat16 parts loses it where it is infinite or NaN, where it is above the largest
// bfloat16 number, and where a part is subnormal, which matrix registers take for zero. Packing notices this,
// since the rest from which the last part is taken is then infinite, NaN or subnormal. Weights for which that
// is so are stored by their bits, and the box is packed once more, unsplit. A subnormal part is below 2^-126;
// where all weights are below 2^24, it cannot matter, and stays lost.
#include "panel.hpp"
#include "walk.hpp"

namespace tconv {

bool any_large(const float* block, int64_t count) {
  constexpr uint32_t kLarge = (127 + 24) << 7;  // the exponent of a bfloat16 number
  uint32_t large = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t word = bits_of(block[i]);
    large |= static_cast<uint32_t>((word & 0x7f80) >= kLarge) |
             static_cast<uint32_t>((word >> 16 & 0x7f80) >= kLarge);
  }
  return large;
}

template <class S>
void sum_exactly(const Walk<S>& walk, const Task<S>& task, const float* block, int64_t first, int64_t phase,
                 bool lost, float* sums) {
  const Layout& at = walk.at;
  const PhaseTaps& own = at.phases[static_cast<size_t>(phase)];
  const int64_t depth = at.source_channels, taps = static_cast<int64_t>(own.offsets.size()),
                rows = std::min<int64_t>(walk.part.rows, at.rows - first);
  const int64_t panel_size = depth * at.panel.channel;
  Exact& exact = *task.exact;
  if (!exact.block.bytes())
    exact.block = Block(static_cast<size_t>(panel_size + at.taps * depth * walk.part.rows) * sizeof(float));
  float *panel = exact.block.template as<float>(), *weights = panel + panel_size;
  if (exact.holds != task.packed_box)
    pack_panel(at, walk.kernels, walk.storage, task.source, depth, task.box, panel, panel, task.line);
  exact.holds = task.packed_box;
  unpack_phase(walk.part, at, block, first, phase, lost, weights);

  TileArgs<float> tile{};
  tile.a_step = rows, tile.a_tap = depth * rows;
  tile.b_on = 1, tile.b_step = at.panel.channel;
  tile.offsets = own.offsets.data(), tile.taps = taps, tile.steps = depth;
  tile.c_stride = at.sums_pitch;
  constexpr int64_t kTileRows = 8, kTileVectors = 3;
  const int64_t width = kTileVectors * at.lanes;
  for (int64_t i = 0; i < task.positions; i += width)
    for (int64_t r = 0; r < rows; r += kTileRows) {
      tile.a = weights + r, tile.b = panel + at.panel.first + i, tile.c = sums + r * at.sums_pitch + i;
      walk.kernels
          .tile[std::min(kTileRows, rows - r)][ceil_div(std::min(width, task.positions - i), at.lanes)](tile);
    }
}

template void sum_exactly(const Walk<float>&, const Task<float>&, const float*, int64_t, int64_t, bool,
                          float*);
template void sum_exactly(const Walk<Half>&, const Task<Half>&, const float*, int64_t, int64_t, bool, float*);
template void sum_exactly(const Walk<Brain>&, const Task<Brain>&, const float*, int64_t, int64_t, bool,
                          float*);

}  // namespace tconv
