// The arithmetic of one axis, the same for all three maps.
//
// Both sides of the map are lattices of cells. A cell q holds `stride` adjacent indices of the finer side,
// its phases, and one index of the coarser side:
//
//   conv_transpose   reads source[q + distance], writes target[q * stride + phase - target_lo]
//   conv             reads source[(q + distance) * stride + phase - source_lo], writes target[q]
//
// so every output is a stride-1 correlation over cells, and no zero is ever inserted.
#pragma once

#include <cstdint>
#include <vector>

#include "plan.hpp"

namespace tconv {

struct Tap {
  int64_t kernel;        // index into the kernel along this axis; negative: the phase lacks this tap
  int64_t source_phase;  // index into Lattice::source_phases
  int64_t distance;      // cells from q to the cell read
};

struct Lattice {
  int64_t cells;  // of the target
  int64_t source_stride, source_lo, source_size;
  int64_t target_stride, target_lo, target_size;
  std::vector<int64_t> source_phases;         // residues that some tap reads
  std::vector<std::vector<Tap>> target_taps;  // one list per phase of the target
  int64_t nearest, farthest;                  // least (<= 0) and greatest (>= 0) distance of any tap

  // True where cells before the first and past the last read only zeros, so that the end of one row of a
  // panel can serve as the beginning of the next.
  bool zeros_outside() const;
};

// From where the distances of a target's phases are counted.
//   own      from each phase's own first output: includes the cropping and wastes no cell
//   aligned  from the cell of the uncropped output that holds the first output, the same for all phases
//   shared   likewise, and every phase lists the distances of all phases, in the same order. Cells may begin
//            some indices before the uncropped output, if that needs fewer of them and no more distances.
enum class Window { own, aligned, shared };
Lattice make_lattice(const Plan& plan, int axis, Window window);

}  // namespace tconv
