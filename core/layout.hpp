// The memory layout of a plan over boxes of cells: panels of input, packed weights, and sums. Sizes count
// numbers, not bytes.
#pragma once

#include <algorithm>
#include <vector>

#include "lattice.hpp"
#include "plan.hpp"

namespace tconv {

// A panel of input is [source channel][source phase][position]. The positions are the cells of a box in
// row-major order. Each row is longer than the box is wide, by as much as the taps reach past its ends; the
// gaps hold zeros, or cells of the adjacent box. A tap is then one constant offset, and a vector of lanes
// continues across the ends of rows.
//
// With im2col, [distance][source channel][position] instead, where the positions are the cells of a box
// without gaps, as a tap of that distance reads them. This packs more, but half of a small map's panel is
// gaps.
struct Panel {
  int64_t pitch[3];  // positions from a cell to its neighbour in batch, z, y
  int64_t first;     // position of the box's first cell
  int64_t row;       // positions of one channel and phase, with slack for a whole vector past the end
  int64_t channel;   // positions of one channel, all phases
  bool dense;        // every position is a cell within the source: nothing needs to be zeroed first

  int64_t position(int64_t n, int64_t z, int64_t y) const {
    return n * pitch[0] + z * pitch[1] + y * pitch[2];
  }
  int64_t offset(int64_t z, int64_t y, int64_t x) const { return z * pitch[1] + y * pitch[2] + x; }
};

// What the taps of one phase of the target read (an offset into the panel) and multiply by (an element of the
// kernel; negative: the phase lacks this tap of the phases that share its tile).
struct PhaseTaps {
  std::vector<int64_t> offsets, kernel;
  int64_t before;  // taps of the phases before this one
};

// Consecutive taps, and the rows of a block of stacked phases from the first to the last that has one of
// them.
struct Strip {
  int64_t tap, taps, row, rows;
  bool zeros;  // whether a row between them lacks one
};

constexpr int64_t kRows = 2048;  // numbers of rows that are stored together

// How the sums of `phases` are stored in the target; each way has a separate file, walk_*.cpp.
//   interleaved  rows of channels, into rows of the target in which a channel's phases alternate
//   turned       rows of channels, transposed, into runs of channels
//   runs         columns of channels with their phases, into rows of the target
//   cells        columns of [phase][channel], into the target in the same order
enum class Store : int { interleaved, turned, runs, cells };

// Everything that follows from a plan and is the same at every run. The first fields are for every part that
// has boxes.
struct Layout {
  Lattice axis[3];
  int64_t size;                              // bytes of a number in panels and sums
  int lanes;                                 // numbers in a vector register
  int64_t source_channels, target_channels;  // of one group
  int64_t source_plane, target_plane;        // numbers of one channel of one batch item
  Side source, target;
  int64_t kernel_cells;              // elements of one kernel
  int64_t row_stride, depth_stride;  // in the weight array, from a target (source) channel to the next

  Cells box;                       // cells of a full box
  Cells extent;                    // of the target's lattice
  Cells boxes;                     // how many there are along each axis
  int64_t positions;               // from a full box's first cell to its last, gaps counted
  Panel panel;                     // what the tiles read
  Panel window;                    // what is packed: the same, but with gaps and not repeated for im2col
  std::vector<int64_t> distances;  // im2col: where in a window's row each of them begins

  std::vector<PhaseTaps> phases;  // of the target, x fastest
  int64_t tile_lanes;             // vectors * lanes
  int64_t line;                   // where numbers are computed wider than arrays store them: the longest row
                                  // of an array that a box reads or writes
  // Only for PhasesPlan:
  Store store;
  int64_t stacked;     // phases that count as channels: 1, or all of them
  bool uneven;         // some stacked phases lack taps of others; their weights are zeros
  int64_t band;        // channels whose rows are [phase][channel]
  int64_t rows;        // target channels x stacked
  int64_t blocks;      // of 32 source channels, where the tile consists of matrix registers
  int64_t depth;       // rows of floats a panel holds: source channels, or parts x pairs of them
  int64_t copy;        // numbers from a distance of im2col to the next
  int64_t panel_size;  // of one task
  int64_t staged;      // source channels that are packed before they are split into parts or copied
  int64_t stage;       // room for them
  int64_t taps;        // of all phases together, or of the stacked ones, which share them

  int64_t columns;        // runs, cells: padded to whole tiles
  int64_t packed_group;   // packed weights of one group
  int64_t chunks;         // of target channels, or of columns by phase
  int64_t sums_pitch;     // interleaved, turned: a row of sums; else the sums of one position
  int64_t sums;           // scratch of one task
  int64_t weights;        // where narrower than sums: the largest number of packed weights that a tile reads
  int64_t phase_columns;  // cells: of a phase; else 0
  int64_t together;       // groups of one task
  int64_t turned;         // scratch of one task: sums of a phase as [position][channel], or biases

  // Stacked rows are [band of channels][phase][channel]. With one channel a band, a channel's phases are
  // adjacent; where they are uneven, a band is all channels of a task, so that rows with a tap are adjacent.
  struct Row {
    int64_t channel, phase;
  };
  Row row_at(int64_t row) const {
    const int64_t first = row / (band * stacked) * band, channels = std::min(band, target_channels - first);
    row -= first * stacked;
    return {first + row % channels, row / channels};
  }
  bool by_phase() const { return store == Store::cells; }
  int64_t box_count() const { return boxes[0] * boxes[1] * boxes[2] * boxes[3]; }
  int64_t source_phase_count() const {
    return static_cast<int64_t>(axis[0].source_phases.size() * axis[1].source_phases.size() *
                                axis[2].source_phases.size());
  }
};

Layout make_layout(const Plan& plan);

// What a block of rows of uneven phases multiplies, for every tap once. The first strip has all rows.
std::vector<Strip> strips_of(const Layout& layout, int64_t first, int64_t rows);

// A box's origin and extent, clipped at the end of the lattice. Order: batch, z, y, x.
struct Box {
  int64_t begin[4], size[4];
};
Box box_at(const Layout& layout, int64_t index);

}  // namespace tconv
