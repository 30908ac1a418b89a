// Sums in vectors, of what the usual tiles would not get right.
//
// Phases of different taps that share a tile have zeros as the weights of taps that they lack. An infinity
// times such a zero is NaN, so sums that are not finite are computed again, phase by phase.
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

namespace {

// `rows` rows of sums, `step` rows of scratch apart. Weights are [tap][source channel][row].
template <class S>
void multiply(const Walk<S>& walk, const Task<S>& task, const typename Storage<S>::T* weights, int64_t rows,
              const std::vector<int64_t>& offsets, const typename Storage<S>::T* cells,
              typename Storage<S>::T* sums, int64_t step) {
  const Layout& at = walk.at;
  constexpr int64_t kVectors = 3;
  const int64_t depth = at.source_channels, width = kVectors * at.lanes,
                most_rows = walk.kernels.tile[8][kVectors] ? 8 : 4;
  TileArgs<typename Storage<S>::T> tile{};
  tile.a_step = rows, tile.a_tap = depth * rows;
  tile.b_on = 1, tile.b_step = at.panel.channel;
  tile.offsets = offsets.data(), tile.taps = static_cast<int64_t>(offsets.size()), tile.steps = depth;
  tile.c_stride = step * at.sums_pitch;
  for (int64_t i = 0; i < task.positions; i += width)
    for (int64_t r = 0; r < rows; r += most_rows) {
      tile.a = weights + r, tile.b = cells + i, tile.c = sums + r * tile.c_stride + i;
      walk.kernels
          .tile[std::min(most_rows, rows - r)][ceil_div(std::min(width, task.positions - i), at.lanes)](tile);
    }
}

// The same for a block of stacked rows, each phase with its own taps. `room`: for as many weights.
template <class S>
void multiply_apart(const Walk<S>& walk, const Task<S>& task, const typename Storage<S>::T* weights,
                    int64_t first, int64_t rows, const typename Storage<S>::T* cells,
                    typename Storage<S>::T* sums, typename Storage<S>::T* room) {
  const Layout& at = walk.at;
  const int64_t depth = at.source_channels;
  for (int64_t phase = 0; phase < at.stacked; ++phase) {
    std::vector<int64_t> own;  // rows of the phase, at equal distances
    for (int64_t i = 0; i < rows; ++i)
      if (at.row_at(first + i).phase == phase) own.push_back(i);
    if (own.empty()) continue;
    const PhaseTaps& taps = at.phases[static_cast<size_t>(phase)];
    std::vector<int64_t> offsets;
    auto* to = room;
    for (size_t t = 0; t < taps.kernel.size(); ++t) {
      if (taps.kernel[t] < 0) continue;
      offsets.push_back(taps.offsets[t]);
      for (int64_t d = 0; d < depth; ++d)
        for (int64_t i : own) *to++ = weights[(static_cast<int64_t>(t) * depth + d) * rows + i];
    }
    multiply(walk, task, room, static_cast<int64_t>(own.size()), offsets, cells,
             sums + own[0] * at.sums_pitch, own.size() > 1 ? own[1] - own[0] : 1);
  }
}

}  // namespace

template <class S>
void sum_exactly(const Walk<S>& walk, const Task<S>& task, int64_t g, const typename Storage<S>::T* block,
                 int64_t first, int64_t phase, bool lost, typename Storage<S>::T* sums) {
  using T = typename Storage<S>::T;
  const Layout& at = walk.at;
  const int64_t depth = at.source_channels,
                rows = std::min<int64_t>(walk.part.rows, task.end * at.stacked - first);
  const int64_t weight_size = at.taps * depth * walk.part.rows,
                panel_size = walk.part.parts ? depth * at.panel.channel : 0;
  Exact& exact = *task.exact;
  if (!exact.block.bytes())
    exact.block = Block(static_cast<size_t>(panel_size + 2 * weight_size) * sizeof(T));
  T *panel = exact.block.template as<T>(), *unpacked = panel + panel_size, *room = unpacked + weight_size;
  const T *weights = block, *cells = task.cells + g * depth * at.panel.channel;
  if constexpr (std::is_same_v<T, float>)
    if (walk.part.parts) {
      if (exact.holds != task.packed_box)
        pack_panel(at, walk.kernels, walk.storage, task.source, depth, task.box, panel, panel, task.line);
      exact.holds = task.packed_box;
      unpack_phase(walk.part, at, block, first, phase, lost, unpacked);
      weights = unpacked, cells = panel + at.panel.first;
    }
  if (at.uneven) multiply_apart(walk, task, weights, first, rows, cells, sums, room);
  else multiply(walk, task, weights, rows, at.phases[static_cast<size_t>(phase)].offsets, cells, sums, 1);
}

#define TCONV_EXACTLY(S)                                                                                     \
  template void sum_exactly(const Walk<S>&, const Task<S>&, int64_t, const typename Storage<S>::T*, int64_t, \
                            int64_t, bool, typename Storage<S>::T*);
TCONV_EXACTLY(float)
TCONV_EXACTLY(double)
TCONV_EXACTLY(Half)
TCONV_EXACTLY(Brain)

}  // namespace tconv
