// Weight packing of `phases`, in the order in which its tiles read.
#pragma once

#include "layout.hpp"
#include "storage.hpp"

namespace tconv {

// Offset of the packed weights of the tile that begins with a row or column, within those of its group.
inline int64_t tile_offset(const Layout& at, int64_t first) {
  if (!at.by_phase() || at.stacked > 1) return first * at.source_channels * at.taps;
  const PhaseTaps& phase = at.phases[static_cast<size_t>(first / at.phase_columns)];
  const int64_t within = first % at.phase_columns, taps = static_cast<int64_t>(phase.offsets.size());
  return (phase.before * at.phase_columns + within * taps) * at.source_channels;
}

template <class S>
void pack_panels(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, S* packed);

// The same in parts, for matrix registers.
template <class S>
void pack_matrix(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, void* packed);

// Packs one block of rows, from row `first` on.
template <class S>
void pack_block(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, int64_t group,
                int64_t first, typename Storage<S>::T* block);

}  // namespace tconv
