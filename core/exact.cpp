// Sums in vectors, of boxes and weights that matrix registers would not get right.
//
// Parts (kernels/matrix.cpp) do not hold a number that is infinite, NaN or above the largest bfloat16 number,
// nor one with a subnormal part, which matrix registers take for zero. Packing notices that: what remains of
// such a number before its last part is taken is infinite, NaN or subnormal. A block of weights with such a
// number is stored by its bits and always multiplied here. So is a box with a number that is too large; a box
// with subnormal parts, only if some weight is 2^24 or more: otherwise what is lost of a product is below
// 2^-101. The choice depends on the numbers of the box and of the block alone, not on threads.
#include "panel.hpp"
#include "walk.hpp"

namespace tconv {
namespace {

// Whether the exponent of some number, of two bfloat16 numbers in the space of each float, is at least
// `least`.
bool any_from(uint32_t least, const float* pairs, int64_t count) {
  uint32_t any = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t pair = bits_of(pairs[i]);
    any |= static_cast<uint32_t>((pair & 0x7f80) >= least << 7) |
           static_cast<uint32_t>((pair >> 16 & 0x7f80) >= least << 7);
  }
  return any;
}

}  // namespace

void Exact::packed(bool lost, const float* first, int64_t count) {
  lost_ = lost, infinite_ = lost && any_from(255, first, count);
}

bool Exact::needed(bool bits, const float* weights, int64_t count) const {
  return bits || infinite_ || (lost_ && any_from(127 + 24, weights, count));
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
