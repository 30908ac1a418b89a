// Weight packing of `phases`, in the order in which its tiles read.
#pragma once

#include "layout.hpp"
#include "memory.hpp"
#include "storage.hpp"

namespace tconv {

// Offset of the packed weights of the tile that begins with a row or column, within those of its group.
inline int64_t tile_offset(const Layout& at, int64_t first) {
  if (!at.by_phase() || at.stacked > 1) return first * at.source_channels * at.taps;
  const PhaseTaps& phase = at.phases[static_cast<size_t>(first / at.phase_columns)];
  const int64_t within = first % at.phase_columns, taps = static_cast<int64_t>(phase.offsets.size());
  return (phase.before * at.phase_columns + within * taps) * at.source_channels;
}

// Behind the packed weights there is a byte: whether some weight is more than half of the largest number, or
// not finite.
template <class S>
void pack_panels(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, S* packed);

// The same in parts, for matrix registers. Behind the packed weights there is a number for each block of
// rows: 1 where some weight of it is not the sum of its parts, so that the block holds the bits of its
// weights.
template <class S>
void pack_matrix(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, void* packed);

// Packs one block of rows, from row `first` on. Returns whether it holds bits.
template <class S>
bool pack_block(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, int64_t group,
                int64_t first, typename Storage<S>::T* block);

// Where some weight may not be finite, the weights as they were before they were packed, except for those
// that no tap reads. Returns whether that is so.
template <class S>
bool unpack_panels(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* packed,
                   Block& weight);
template <class S>
bool unpack_matrix(const Plan& plan, const PhasesPlan& part, const Layout& at, const void* packed,
                   Block& weight);

// The weights of one phase of a block for matrix registers, from `own` on, as [tap][source channel][row].
void unpack_phase(const PhasesPlan& part, const Layout& at, const float* own, int64_t first, int64_t phase,
                  bool lost, float* to);

}  // namespace tconv
